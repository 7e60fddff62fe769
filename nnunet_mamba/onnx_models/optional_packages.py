"""The optional packages that ONNX files need."""

from nnunet_mamba.system import optional_packages

EXTRA = "onnx"


def require_packages(*names: str) -> None:
    """Raise if a package is not installed.

    Args:
        names: of packages, as they are imported.

    Raises:
        ModuleNotFoundError: names those that are missing, and the command that installs them.
    """
    # Whoever runs files alone need not install what writes them, nor torch with the extra.
    install = "onnxruntime" if names == ("onnxruntime",) else f"'nnunet-mamba[{EXTRA}]'"
    optional_packages.require_packages(names, what="ONNX files", install=install)
