"""Global and local modules in the stages of UltraLBM-UNet."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALBM
from nnunet_mamba.reproduction.experiments.known_differences import ULTRALBM

EXPERIMENT = Experiment(
    name="ultralbm-unet-table-2",
    paper="ultralbm_unet",
    table="Table 2",
    data={"isic17": ISIC17_OF_ULTRALBM},
    trainer="nnUNetTrainerUltraLBM",
    repeats=3,
    differences=ULTRALBM,
)
