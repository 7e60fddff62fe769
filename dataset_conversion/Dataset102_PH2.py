"""Convert PH2, dermoscopy of 200 naevi and melanomas, for nnU-Net.

Run ``python Dataset102_PH2.py --help``, or ``nnunet-mamba convert ph2 --help``, which is the same.
For a data set in the same layout, copy this file and change what it declares; the layout is described in
``nnunet_mamba.data.converters.ph2``.
"""

from nnunet_mamba.cli.convert.ph2 import ph2
from nnunet_mamba.cli.scripts import run_as_script
from nnunet_mamba.data.converters.ph2 import Ph2Facts

NAME = "Dataset102_PH2"
FOREGROUND = "lesion"

FACTS = Ph2Facts(name=NAME, foreground=FOREGROUND)

if __name__ == "__main__":
    run_as_script(ph2, FACTS)
