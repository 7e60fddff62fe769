"""Thirteen networks on slices of lower-grade gliomas."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import LGG
from nnunet_mamba.reproduction.experiments.known_differences import TUMOUR

EXPERIMENT = Experiment(
    name="mamba-tumour-segmentation-table-i",
    paper="mamba_tumour_segmentation",
    table="Table I",
    data={"lgg": LGG},
    trainer="nnUNetTrainerUMambaBotTumour",
    differences=TUMOUR,
)
