"""The optional packages that ONNX files need, told in one sentence where they are missing."""

from importlib.util import find_spec

EXTRA = "onnx"


def require_packages(*names: str) -> None:
    """Raise if a package is not installed.

    Args:
        names: of packages, as they are imported.

    Raises:
        ModuleNotFoundError: names those that are missing, and the command that installs them.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        verb = "is" if len(missing) == 1 else "are"
        raise ModuleNotFoundError(
            f"ONNX files need {' and '.join(missing)}, which {verb} not installed: pip install 'nnunet-mamba[{EXTRA}]'",
            name=missing[0],
        )
