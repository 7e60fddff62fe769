"""The data sets of all experiments, each with a number of its own in nnU-Net's folders."""

from dataclasses import replace

from nnunet_mamba.reproduction.experiment import PreparedData

# Sizes that VM-UNet's paper splits by.
ISIC17_OF_VM_UNET = PreparedData(
    dataset="isic17", number=711, name="ISIC17_1500_650", split="isic17-1500-650", n_images=2150
)
ISIC18_OF_VM_UNET = PreparedData(
    dataset="isic18", number=712, name="ISIC18_1886_808", split="isic18-1886-808", n_images=2694
)
ISIC17_384 = replace(ISIC17_OF_VM_UNET, number=713, name="ISIC17_1500_650_384", size=384)
ISIC18_384 = replace(ISIC18_OF_VM_UNET, number=714, name="ISIC18_1886_808_384", size=384)
ISIC17_512 = replace(ISIC17_OF_VM_UNET, number=715, name="ISIC17_1500_650_512", size=512)
ISIC18_512 = replace(ISIC18_OF_VM_UNET, number=716, name="ISIC18_1886_808_512", size=512)
# nnU-Net brings CT to one spacing, and takes patches of whole slices.
SYNAPSE = PreparedData(
    dataset="synapse",
    number=717,
    name="Synapse_18_12",
    split="synapse-18-12",
    n_images=30,
    size=None,
    sigmoid=False,
)

ISIC17_OF_ULTRALIGHT = PreparedData(
    dataset="isic17",
    number=721,
    name="ISIC17_1250_600",
    split="isic17-1250-150-600",
    n_images=2000,
    with_validation_part=False,
)
ISIC18_OF_ULTRALIGHT = PreparedData(
    dataset="isic18",
    number=722,
    name="ISIC18_1815_520",
    split="isic18-1815-259-520",
    n_images=2594,
    with_validation_part=False,
)

ISIC17_OF_ULTRALBM = PreparedData(dataset="isic17", number=731, name="ISIC17_70_30", split="70-30", n_images=2150)
ISIC18_OF_ULTRALBM = PreparedData(dataset="isic18", number=732, name="ISIC18_70_30", split="70-30", n_images=2694)

PH2 = PreparedData(dataset="ph2", number=741, name="PH2_test", split="", n_images=200)

LGG = PreparedData(dataset="lgg", number=751, name="LGG_slices", split="lgg-by-slice", n_images=3929, size=None)
