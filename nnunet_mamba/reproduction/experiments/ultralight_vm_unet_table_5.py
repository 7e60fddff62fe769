"""Convolutions in place of UltraLight VM-UNet's Mamba layers."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALIGHT
from nnunet_mamba.reproduction.experiments.known_differences import ULTRALIGHT

EXPERIMENT = Experiment(
    name="ultralight-vm-unet-table-5",
    paper="ultralight_vm_unet",
    table="Table 5",
    data={"isic17": ISIC17_OF_ULTRALIGHT},
    trainer="nnUNetTrainerUltraLightVM",
    differences=ULTRALIGHT,
)
