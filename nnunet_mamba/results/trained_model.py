"""A trained model as nnU-Net keeps it: the folder above its folds, what lies beside them, and which have ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.results.checkpoints import FINAL, has_checkpoint
from nnunet_mamba.results.layout import ModelName, fold_name, fold_of
from nnunet_mamba.results.plans import data_identifier, inherited
from nnunet_mamba.system.json_files import read_json_object

# nnU-Net's copies beside the folds.
PLANS_FILE = "plans.json"
DATASET_FILE = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The folder ``DATASET/TRAINER__PLANS__CONFIGURATION``, which all folds of one training share.

    Args:
        folder: need not exist.
        name: trainer, plans and configuration.
    """

    folder: Path
    name: ModelName

    @classmethod
    def of(cls, folder: Path) -> "TrainedModel":
        """Return the model whose folder this is.

        Raises:
            ValueError: nnU-Net gives no folder of its results such a name.
        """
        return cls(folder=folder, name=ModelName.parse(folder.name))

    @classmethod
    def of_fold(cls, fold: Path) -> "TrainedModel | None":
        """Return the model that has this folder for a fold; None if nnU-Net gives no fold such a place."""
        if fold_of(fold) is None:
            return None
        try:
            return cls.of(fold.parent)
        except ValueError:
            return None

    @property
    def dataset(self) -> str:
        """The name of the data set's folder."""
        return self.folder.parent.name

    @property
    def plans_file(self) -> Path:
        """nnU-Net's copy of the plans."""
        return self.folder / PLANS_FILE

    @property
    def dataset_json_file(self) -> Path:
        """nnU-Net's copy of dataset.json."""
        return self.folder / DATASET_FILE

    def fold(self, fold: int | str) -> Path:
        """Return a fold's folder.

        Args:
            fold: index into splits_final.json, or "all".
        """
        return self.folder / fold_name(fold)

    def finished_folds(self) -> list[str]:
        """Return the folds whose training has ended, "0", "1", … and "all", in this order."""
        return self.folds_with(FINAL)

    def folds_with(self, checkpoint_name: str) -> list[str]:
        """Return the folds that have a checkpoint, "0", "1", … and "all", in this order.

        Args:
            checkpoint_name: of the file.
        """
        folds = [fold_of(path) for path in self.folder.glob(fold_name("*")) if has_checkpoint(path, checkpoint_name)]
        return sorted(filter(None, folds), key=lambda fold: (not fold.isdigit(), len(fold), fold))

    def configuration(self) -> dict[str, Any]:
        """Return the model's configuration in its plans, with all that it inherits.

        Raises:
            FileNotFoundError: there are no plans beside the folds.
            ValueError: they are no plans, or do not have the configuration; names the file.
        """
        plans = read_json_object(self.plans_file, any_encoding=True, unique_names=True)
        configurations = plans.get("configurations")
        if not isinstance(configurations, dict):
            raise ValueError(f"{self.plans_file} has no configurations, expected nnU-Net's plans")
        try:
            return inherited(configurations, self.name.configuration)
        except ValueError as error:
            raise ValueError(f"{self.plans_file}: {error}; expected nnU-Net's plans") from error

    def data_identifier(self) -> str:
        """Return the name of the folder that holds the preprocessed data that the model was trained on.

        Raises:
            FileNotFoundError: there are no plans beside the folds.
            ValueError: they do not tell; names the file.
        """
        return data_identifier(self.configuration(), where=str(self.plans_file))


def is_results_folder(folder: Path) -> bool:
    """Return whether a folder holds what nnU-Net keeps beside the folds of a training, whatever its name.

    Args:
        folder: need not exist.
    """
    return (folder / PLANS_FILE).is_file() and (folder / DATASET_FILE).is_file()


def finished_models(dataset: Path, *, checkpoint_name: str = FINAL) -> Iterator[TrainedModel]:
    """Yield the models of a data set with a fold that has a checkpoint, sorted by name.

    Args:
        dataset: ``$nnUNet_results/DatasetXXX_Name``; need not exist.
        checkpoint_name: of the file; the default is written when a training ends.
    """
    # A killed run may have left a part of one under a hidden name.
    for folder in sorted(dataset.glob("[!.]*")):
        try:
            model = TrainedModel.of(folder)
        except ValueError:
            continue
        if model.folds_with(checkpoint_name):
            yield model
