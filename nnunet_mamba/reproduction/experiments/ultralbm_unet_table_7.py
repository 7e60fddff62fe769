"""Terms of the distillation of UltraLBM-UNet-T."""

from nnunet_mamba.reproduction.experiment import Experiment, MethodChange
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALBM
from nnunet_mamba.reproduction.experiments.known_differences import SKIN

_NO_TERMS = MethodChange(missing="No trainer has these terms of the distillation alone.")

EXPERIMENT = Experiment(
    name="ultralbm-unet-table-7",
    paper="ultralbm_unet",
    table="Table 7",
    data={"isic17": ISIC17_OF_ULTRALBM},
    trainer="nnUNetTrainerUltraLBM",
    repeats=3,
    methods={
        "KL-Distill": _NO_TERMS,
        "DKL-Distill": _NO_TERMS,
        "DKL+Att": _NO_TERMS,
        "DKL+Grad": _NO_TERMS,
        "Full Strategy": MethodChange(trainer="nnUNetTrainerUltraLBMTDistill", teacher="nnUNetTrainerUltraLBM"),
    },
    differences=SKIN,
)
