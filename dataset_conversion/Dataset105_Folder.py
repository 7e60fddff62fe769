"""Convert anybody's images and masks for nnU-Net: pictures or NIfTI volumes, found by a pattern of their names.

Run ``python Dataset105_Folder.py --help``, or ``nnunet-mamba convert folder --help``, which is the same.
For a data set of your own, copy this file and change what it declares; the patterns are described in
``nnunet_mamba.data.converters.folder``.
"""

from nnunet_mamba.cli.convert.folder import folder
from nnunet_mamba.cli.scripts import run_as_script
from nnunet_mamba.data.converters.folder_options import FolderFacts

NAME = "Dataset105_Folder"
FOREGROUND = "foreground"
# Where nothing else is said: masks of one foreground, which hold one of these besides 0.
DEFAULT_FOREGROUNDS = (255, 1)

FACTS = FolderFacts(name=NAME, foreground=FOREGROUND, foreground_values=DEFAULT_FOREGROUNDS)

if __name__ == "__main__":
    run_as_script(folder, FACTS)
