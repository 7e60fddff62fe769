"""Terms of the distillation of UltraLBM-UNet-T."""

from nnunet_mamba.reproduction.experiment import Experiment, MethodChange
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALBM
from nnunet_mamba.reproduction.experiments.known_differences import DISTILLED, KL_DISTILL, ULTRALBM

_TAUGHT = MethodChange(teacher="nnUNetTrainerUltraLBM")

EXPERIMENT = Experiment(
    name="ultralbm-unet-table-7",
    paper="ultralbm_unet",
    table="Table 7",
    data={"isic17": ISIC17_OF_ULTRALBM},
    trainer="nnUNetTrainerUltraLBM",
    repeats=3,
    methods=dict.fromkeys(("KL-Distill", "DKL-Distill", "DKL+Att", "DKL+Grad", "Full Strategy"), _TAUGHT),
    differences=(*ULTRALBM, DISTILLED, KL_DISTILL),
)
