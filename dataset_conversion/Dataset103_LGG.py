"""Convert the lower-grade gliomas of TCGA (Kaggle's lgg-mri-segmentation) for nnU-Net.

Run ``python Dataset103_LGG.py --help``, or ``nnunet-mamba convert lgg --help``, which is the same.
For a data set in the same layout, copy this file and change what it declares; the layout is described in
``nnunet_mamba.data.converters.lgg_tree``.
"""

from nnunet_mamba.cli.convert.lgg import lgg
from nnunet_mamba.cli.scripts import run_as_script
from nnunet_mamba.data.converters.lgg import LggFacts

NAME = "Dataset103_LGG"
FOREGROUND = "tumour"
# The files have no spacing. These are usual for axial FLAIR, and one spacing for all keeps nnU-Net from resampling.
SLICE_THICKNESS = 5.0  # mm
PIXEL_SPACING = 1.0  # mm

FACTS = LggFacts(name=NAME, foreground=FOREGROUND, slice_thickness=SLICE_THICKNESS, pixel_spacing=PIXEL_SPACING)

if __name__ == "__main__":
    run_as_script(lgg, FACTS)
