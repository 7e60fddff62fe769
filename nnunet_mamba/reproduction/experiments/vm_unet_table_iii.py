"""Weights that VM-UNet's training begins with."""

from nnunet_mamba.reproduction.experiment import Experiment, MethodChange
from nnunet_mamba.reproduction.experiments.data_sets import ISIC17_OF_VM_UNET, ISIC18_OF_VM_UNET
from nnunet_mamba.reproduction.experiments.known_differences import VM_UNET

_NO_WEIGHTS = MethodChange(
    missing="Its training begins with a file of weights, which an experiment does not take yet: import it with "
    "nnunet-mamba import-weights, and train with nnUNetv2_train and -pretrained_weights."
)

EXPERIMENT = Experiment(
    name="vm-unet-table-iii",
    paper="vm_unet",
    table="Table III",
    data={"isic17": ISIC17_OF_VM_UNET, "isic18": ISIC18_OF_VM_UNET},
    trainer="nnUNetTrainerVMUNet",
    methods={"VMamba-T": _NO_WEIGHTS, "VMamba-S": _NO_WEIGHTS},
    differences=VM_UNET,
)
