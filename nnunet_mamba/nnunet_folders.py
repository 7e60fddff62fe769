"""nnU-Net's own folders, as its environment variables name them."""

import os
from pathlib import Path

_HOLDS = {
    "nnUNet_raw": "the data sets as nnU-Net reads them",
    "nnUNet_preprocessed": "plans and preprocessed data sets",
    "nnUNet_results": "trained networks",
}


def nnunet_folder(variable: str) -> Path:
    """Return the folder that one of nnU-Net's environment variables names.

    Args:
        variable: "nnUNet_raw", "nnUNet_preprocessed" or "nnUNet_results".

    Raises:
        FileNotFoundError: the variable is not set; says how to set it.
    """
    value = os.environ.get(variable)
    if not value:
        raise FileNotFoundError(
            f"The environment variable {variable} is not set. It names the folder that holds {_HOLDS[variable]}; "
            f"nnU-Net's commands need it too. Set it in the terminal you work in:\n"
            f"  Linux, macOS:        export {variable}=/path/to/{variable}\n"
            f"  Windows PowerShell:  $env:{variable} = 'C:\\path\\to\\{variable}'"
        )
    return Path(value)
