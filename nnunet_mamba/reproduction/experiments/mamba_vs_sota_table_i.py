"""The same networks on the same slices, as the second paper prints them."""

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments.data_sets import LGG
from nnunet_mamba.reproduction.experiments.known_differences import TUMOUR

EXPERIMENT = Experiment(
    name="mamba-vs-sota-table-i",
    paper="mamba_vs_sota",
    table="Table I",
    data={"lgg": LGG},
    trainer="nnUNetTrainerUMambaBotTumour",
    differences=TUMOUR,
)
