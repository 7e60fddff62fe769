"""Sixteen light networks on ISIC 2017 and ISIC 2018, three seeds each, and these six models on PH2."""

from nnunet_mamba.reproduction.experiment import Experiment, MethodChange
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALBM, ISIC18_OF_ULTRALBM, PH2
from nnunet_mamba.reproduction.experiments.known_differences import DISTILLED, ULTRALBM

EXPERIMENT = Experiment(
    name="ultralbm-unet-table-1",
    paper="ultralbm_unet",
    table="Table 1",
    data={"isic17": ISIC17_OF_ULTRALBM, "isic18": ISIC18_OF_ULTRALBM, "ph2": PH2},
    trainer="nnUNetTrainerUltraLBM",
    repeats=3,
    tests={"ph2": ("isic17", "isic18")},
    methods={"UltraLBM-UNet-T": MethodChange(teacher="nnUNetTrainerUltraLBM")},
    differences=(*ULTRALBM, DISTILLED),
)
