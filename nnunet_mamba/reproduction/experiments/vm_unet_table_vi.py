"""Sizes of the images that VM-UNet takes: a conversion for each."""

from nnunet_mamba.reproduction.experiment import Experiment, MethodChange
from nnunet_mamba.reproduction.experiments.data_sets import (
    ISIC17_384,
    ISIC17_512,
    ISIC17_OF_VM_UNET,
    ISIC18_384,
    ISIC18_512,
    ISIC18_OF_VM_UNET,
)
from nnunet_mamba.reproduction.experiments.known_differences import VM_UNET, VMAMBA

EXPERIMENT = Experiment(
    name="vm-unet-table-vi",
    paper="vm_unet",
    table="Table VI",
    data={"isic17": ISIC17_OF_VM_UNET, "isic18": ISIC18_OF_VM_UNET},
    trainer="nnUNetTrainerVMUNet",
    methods={
        "384×384": MethodChange(data={"isic17": ISIC17_384, "isic18": ISIC18_384}),
        "512×512": MethodChange(data={"isic17": ISIC17_512, "isic18": ISIC18_512}),
    },
    differences=(*VM_UNET, VMAMBA),
)
