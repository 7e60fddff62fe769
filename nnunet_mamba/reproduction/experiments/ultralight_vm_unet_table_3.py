"""UltraLight VM-UNet on PH2, with the models of ISIC 2017's table."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_ULTRALIGHT, PH2
from nnunet_mamba.reproduction.experiments.known_differences import ULTRALIGHT

EXPERIMENT = Experiment(
    name="ultralight-vm-unet-table-3",
    paper="ultralight_vm_unet",
    table="Table 3",
    data={"isic17": ISIC17_OF_ULTRALIGHT, "ph2": PH2},
    trainer="nnUNetTrainerUltraLightVM",
    tests={"ph2": ("isic17",)},
    differences=ULTRALIGHT,
)
