"""Convert ISIC 2016, 2017 or 2018 lesion segmentation, or another data set in its layout, for nnU-Net.

Run ``python Dataset101_ISIC.py --help``, or ``nnunet-mamba convert isic --help``, which is the same.
For a data set in the same layout, copy this file and change what it declares; the layout is described in
``nnunet_mamba.data.converters.isic``.
"""

from nnunet_mamba.cli.convert.isic import isic
from nnunet_mamba.cli.scripts import run_as_script
from nnunet_mamba.data.converters.isic import IsicFacts

NAME = "Dataset101_ISIC"
FOREGROUND = "lesion"
MASK_SUFFIX = "_segmentation"
# Over-segmentations that ISIC 2017 puts beside its photographs.
NEITHER_IMAGE_NOR_MASK = ("_superpixels",)

FACTS = IsicFacts(name=NAME, foreground=FOREGROUND, mask_suffix=MASK_SUFFIX, other_suffixes=NEITHER_IMAGE_NOR_MASK)

if __name__ == "__main__":
    run_as_script(isic, FACTS)
