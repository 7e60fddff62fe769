"""Where the folders beside the package are: inside it in a wheel, beside it in a checkout."""

import os

REINSTALL = "in its checkout, pip install --force-reinstall --no-deps ."
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(_PACKAGE)


# os instead of pathlib: this runs at every interpreter start.
def _folder(name: str) -> str:
    in_wheel = os.path.join(_PACKAGE, "_bundled", name)
    in_checkout = os.path.join(_CHECKOUT, name)
    if os.path.isdir(in_wheel):
        return in_wheel
    if os.path.isfile(os.path.join(_CHECKOUT, "pyproject.toml")) and os.path.isdir(in_checkout):
        return in_checkout
    raise FileNotFoundError(
        f"nnunet-mamba is incomplete: neither {in_wheel} nor {in_checkout} exists. Reinstall it: {REINSTALL}"
    )


def trainers_folder() -> str:
    """Return the folder of nnU-Net trainers, for ``nnUNet_extTrainer``.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    return _folder("trainers")


def trainer_names() -> list[str]:
    """Return the names of the bundled trainers, sorted: nnU-Net finds each in the file of its name.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    files = os.listdir(trainers_folder())
    return sorted(file[: -len(".py")] for file in files if file.startswith("nnUNetTrainer") and file.endswith(".py"))
