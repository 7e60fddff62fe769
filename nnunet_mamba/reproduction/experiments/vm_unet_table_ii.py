"""VM-UNet on the organs of Synapse."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import SYNAPSE
from nnunet_mamba.reproduction.experiments.known_differences import EPOCHS, MIRRORED, SCORED_ONCE, VMAMBA

EXPERIMENT = Experiment(
    name="vm-unet-table-ii",
    paper="vm_unet",
    table="Table II",
    data={"synapse": SYNAPSE},
    trainer="nnUNetTrainerVMUNet",
    differences=(
        SCORED_ONCE,
        EPOCHS,
        MIRRORED,
        VMAMBA,
        "nnU-Net brings the CT to one spacing and intensity and takes patches of its slices; the paper resizes whole "
        "slices to 224×224 and scores them there.",
        "nnU-Net's normalisation of CT intensities counts all 30 scans, those that are tested among them.",
        "HD95 counts voxels of the CT's own grid, which are finer than those of 224×224.",
    ),
)
