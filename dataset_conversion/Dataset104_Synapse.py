"""Convert the abdominal CT of Synapse (BTCV, Beyond the Cranial Vault), original or TransUNet's, for nnU-Net.

Run ``python Dataset104_Synapse.py --help``, or ``nnunet-mamba convert synapse --help``, which is the same.
For a data set in the same layout, copy this file and change what it declares; the layout is described in
``nnunet_mamba.data.converters.synapse``.
"""

from nnunet_mamba.cli.convert.synapse import synapse
from nnunet_mamba.cli.scripts import run_as_script
from nnunet_mamba.data.converters.synapse import PAPERS_ORGANS, RAW_DATA_NUMBERS, SynapseFacts

NAME = "Dataset104_Synapse"
# TransUNet's files have no spacing. These lie between those of the original files.
SLICE_THICKNESS = 3.0  # mm
PIXEL_SPACING = 0.76  # mm

FACTS = SynapseFacts(
    name=NAME,
    raw_data_numbers=RAW_DATA_NUMBERS,
    papers_organs=PAPERS_ORGANS,
    slice_thickness=SLICE_THICKNESS,
    pixel_spacing=PIXEL_SPACING,
)

if __name__ == "__main__":
    run_as_script(synapse, FACTS)
