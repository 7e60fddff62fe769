"""Which cases the model behind a folder of predictions has trained on, as far as the files beside them tell."""

from collections.abc import Collection
from pathlib import Path

from nnunet_mamba.comparison.comparability import shown
from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.results.layout import VALIDATION, fold_of
from nnunet_mamba.results.trained_model import PLANS_FILE, TrainedModel
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set


def refuse_trained_cases(predictions: Path, identifiers: Collection[str], *, name: str) -> None:
    """Raise if the model that made some predictions has trained on their images.

    nnU-Net's predictions tell the data set and not the folds, so all of its training cases count; its validations tell
    the fold too.

    Args:
        predictions: their folder.
        identifiers: of the cases.
        name: of the model.

    Raises:
        ValueError: it has; tells which cases.
    """
    origin = _origin(predictions)
    if origin is None:
        return
    dataset, fold = origin
    if seen := set(identifiers) & _training_cases(dataset, fold):
        raise ValueError(
            f"{name} has trained on {len(seen)} of the {len(identifiers)} cases ({shown(seen)}), training cases of "
            f"{dataset}{'' if fold is None else f' in fold {fold}'}: scores on them tell nothing of new images; "
            "compare on images that none of the models has seen, or compare the folds of the trainings"
        )


def _origin(predictions: Path) -> tuple[str, str | None] | None:
    """Return the data set of a model and the fold that predicted, None for a fold that is not told."""
    folder = predictions.resolve()
    fold = fold_of(folder.parent)
    if folder.name == VALIDATION and fold is not None:
        try:
            return TrainedModel.of(folder.parent.parent).dataset, fold
        except ValueError:
            pass
    if not (plans := folder / PLANS_FILE).is_file():
        return None
    dataset = read_json_object(plans, any_encoding=True).get("dataset_name")
    return (dataset, None) if isinstance(dataset, str) and dataset else None


def _training_cases(dataset: str, fold: str | None) -> set[str]:
    """Return the cases that a fold has trained on, or those that any fold has."""
    roots = [nnunet_folder_if_set(variable) for variable in ("nnUNet_preprocessed", "nnUNet_raw")]
    files = [root / dataset / SPLITS_FILE for root in roots if root is not None]
    splits = next((read_splits(file) for file in files if file.is_file()), [])
    if fold is not None and fold.isdigit():
        return set(splits[int(fold)]["train"]) if int(fold) < len(splits) else set()
    raw = roots[1]
    labels = [] if raw is None else (raw / dataset / "labelsTr").glob("[!.]*")
    return {name for each in splits for side in each.values() for name in side} | {
        path.name.removesuffix(".gz").rpartition(".")[0] for path in labels
    }
