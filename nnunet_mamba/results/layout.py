"""Names below ``$nnUNet_results``: ``DATASET/TRAINER__PLANS__CONFIGURATION/fold_X`` and what lies there."""

from dataclasses import dataclass
from pathlib import Path

ALL = "all"
VALIDATION = "validation"
SUMMARY = "summary.json"
_BETWEEN = "__"
_FOLD = "fold_"


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """What all folds of one training share; as text, the name of their folder.

    Args:
        trainer: class name, as given to ``-tr``.
        plans: name of the plans, as given to ``-p``.
        configuration: "2d", "3d_fullres", …
    """

    trainer: str
    plans: str
    configuration: str

    @classmethod
    def parse(cls, name: str) -> "ModelName":
        """Return the parts of a folder's name.

        Raises:
            ValueError: nnU-Net gives no folder of its results such a name.
        """
        parts = name.split(_BETWEEN)
        if len(parts) != 3:
            raise ValueError(f"{name!r} is no folder of nnU-Net's results, expected TRAINER__PLANS__CONFIGURATION")
        trainer, plans, configuration = parts
        return cls(trainer=trainer, plans=plans, configuration=configuration)

    def __str__(self) -> str:
        return _BETWEEN.join((self.trainer, self.plans, self.configuration))


def fold_name(fold: int | str) -> str:
    """Return the name of a fold's folder.

    Args:
        fold: index into splits_final.json, or "all".
    """
    return f"{_FOLD}{fold}"


def fold_of(folder: Path) -> str | None:
    """Return the fold whose folder this is, "0", "1", … or "all"; None for any other folder."""
    return folder.name.removeprefix(_FOLD) if folder.name.startswith(_FOLD) else None


def fold_of_dataset(trained: Path, dataset: str) -> str | None:
    """Return the fold of a data set that a checkpoint or a folder belongs to; None if it is none.

    Args:
        trained: a checkpoint or a folder; need not exist.
        dataset: name of the data set's folder.
    """
    folder = trained if trained.is_dir() else trained.parent
    return fold_of(folder) if folder.parent.parent.name == dataset else None


def validation_folder(fold: Path) -> Path:
    """Return where nnU-Net's final validation of a fold writes its label maps and probabilities.

    Args:
        fold: the fold's folder.
    """
    return fold / VALIDATION


def validation_summary(fold: Path) -> Path:
    """Return the file that nnU-Net's final validation of a fold writes last.

    Args:
        fold: the fold's folder.
    """
    return validation_folder(fold) / SUMMARY
