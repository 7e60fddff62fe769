"""A run of a cross-validation: one fold of one trainer, and how far it is by nnU-Net's own files."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.results.checkpoints import is_trained
from nnunet_mamba.results.layout import ModelName, fold_name, validation_summary
from nnunet_mamba.results.phases import Phase, phase_of
from nnunet_mamba.results.summaries import read_mean_dice
from nnunet_mamba.trainer_name import TrainerName

LOGS = "crossval_logs"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One fold of one trainer.

    Args:
        dataset: name of the data set's folder.
        configuration: "2d", "3d_fullres", …
        trainer: class name, as given to ``-tr``.
        plans: name of the plans, as given to ``-p``.
        fold: index into splits_final.json.
        results: ``$nnUNet_results``.
    """

    dataset: str
    configuration: str
    trainer: str
    plans: str
    fold: int
    results: Path

    @property
    def model(self) -> str:
        """What all folds of one trainer share, as nnU-Net names their folder."""
        return str(ModelName(trainer=self.trainer, plans=self.plans, configuration=self.configuration))

    @property
    def seed(self) -> int | None:
        """The seed in the trainer's name, None without one."""
        return TrainerName.parse(self.trainer).seed

    @property
    def trainer_of_all_seeds(self) -> str:
        """The trainer's name without its seed, which all repeats of a training share."""
        return self.trainer if self.seed is None else str(TrainerName.parse(self.trainer).with_seed(None))

    @property
    def model_of_all_seeds(self) -> str:
        """What all folds and seeds of one trainer share, as nnU-Net would name their folder."""
        return str(ModelName(trainer=self.trainer_of_all_seeds, plans=self.plans, configuration=self.configuration))

    @property
    def name(self) -> str:
        """Unique among the runs of a data set."""
        return f"{self.model}__{fold_name(self.fold)}"

    @property
    def folder(self) -> Path:
        """Where nnU-Net writes this fold."""
        return self.results / self.dataset / self.model / fold_name(self.fold)

    @property
    def log(self) -> Path:
        """Where all that the training prints is kept, one attempt after the other."""
        return self.results / self.dataset / LOGS / f"{self.name}.log"

    @property
    def summary(self) -> Path:
        """What nnU-Net's final validation writes last."""
        return validation_summary(self.folder)

    @property
    def is_trained(self) -> bool:
        """Whether its last epoch is over."""
        return is_trained(self.folder)

    def phase(self, *, npz: bool = False) -> Phase:
        """Return how far the run is.

        Args:
            npz: complete means with the probabilities of all validation cases, which ensembling needs.
        """
        return phase_of(self.folder, npz=npz)

    def dice(self) -> float:
        """Return nnU-Net's mean Dice of the final validation, over cases and then over labels or regions.

        Raises:
            ValueError: the file is not one of nnU-Net's summaries.
        """
        return read_mean_dice(self.summary)
