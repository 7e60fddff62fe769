"""UltraLight VM-UNet on ISIC 2018."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import ISIC18_OF_ULTRALIGHT
from nnunet_mamba.reproduction.experiments.known_differences import ULTRALIGHT

EXPERIMENT = Experiment(
    name="ultralight-vm-unet-table-2",
    paper="ultralight_vm_unet",
    table="Table 2",
    data={"isic18": ISIC18_OF_ULTRALIGHT},
    trainer="nnUNetTrainerUltraLightVM",
    differences=ULTRALIGHT,
)
