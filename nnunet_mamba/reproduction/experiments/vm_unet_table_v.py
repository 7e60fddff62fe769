"""Blocks in the stages of VM-UNet."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_VM_UNET, ISIC18_OF_VM_UNET
from nnunet_mamba.reproduction.experiments.known_differences import VM_UNET, VMAMBA

EXPERIMENT = Experiment(
    name="vm-unet-table-v",
    paper="vm_unet",
    table="Table V",
    data={"isic17": ISIC17_OF_VM_UNET, "isic18": ISIC18_OF_VM_UNET},
    trainer="nnUNetTrainerVMUNet",
    differences=(*VM_UNET, VMAMBA),
)
