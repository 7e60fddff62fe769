"""UltraLight VM-UNet on ISIC 2017."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALIGHT
from nnunet_mamba.reproduction.experiments.known_differences import ULTRALIGHT

EXPERIMENT = Experiment(
    name="ultralight-vm-unet-table-1",
    paper="ultralight_vm_unet",
    table="Table 1",
    data={"isic17": ISIC17_OF_ULTRALIGHT},
    trainer="nnUNetTrainerUltraLightVM",
    differences=ULTRALIGHT,
)
