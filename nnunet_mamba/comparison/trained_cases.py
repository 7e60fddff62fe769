"""Which cases the model behind a folder of predictions has trained on, as far as the files beside them tell."""

from collections.abc import Collection, Sequence
from pathlib import Path

from nnunet_mamba.comparison.comparability import shown
from nnunet_mamba.data.splits.split_files import find_splits, read_splits
from nnunet_mamba.prediction.run_record import DATASET, FOLDS, RECORD_FILE
from nnunet_mamba.results.layout import VALIDATION, fold_of
from nnunet_mamba.results.trained_model import PLANS_FILE, TrainedModel
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set


def refuse_trained_cases(predictions: Path, identifiers: Collection[str], *, name: str) -> None:
    """Raise if the model that made some predictions has trained on their images.

    nnU-Net's predictions tell the data set and not the folds, so all of its training cases count; its validations and
    the predictions of ``nnunet-mamba predict`` tell the folds too.

    Args:
        predictions: their folder.
        identifiers: of the cases.
        name: of the model.

    Raises:
        ValueError: it has; tells which cases. Or a file beside the predictions is damaged.
    """
    origin = _origin(predictions)
    if origin is None:
        return
    dataset, folds = origin
    if seen := set(identifiers) & training_cases(dataset, folds):
        of_folds = f" in fold {', '.join(folds)}" if folds else ""
        raise ValueError(
            f"{name} has trained on {len(seen)} of the {how_many(len(identifiers), 'case')} ({shown(seen)}), training "
            f"cases of {dataset}{of_folds}: scores on them tell nothing of new images; compare on images that none of "
            "the models has seen, or compare the folds of the trainings"
        )


def _origin(predictions: Path) -> tuple[str, Sequence[str]] | None:
    """Return the data set of a model and the folds that predicted, which are empty where they are not told."""
    folder = predictions.resolve()
    training, fold = TrainedModel.of_fold(folder.parent), fold_of(folder.parent)
    if folder.name == VALIDATION and training is not None and fold is not None:
        return training.dataset, [fold]
    for file, entry in ((RECORD_FILE, DATASET), (PLANS_FILE, "dataset_name")):
        if (folder / file).is_file():
            content = read_json_object(folder / file, any_encoding=True)
            dataset, folds = content.get(entry), content.get(FOLDS)
            if isinstance(dataset, str) and dataset:
                return dataset, list(map(str, folds)) if isinstance(folds, list) else []
    return None


def training_cases(dataset: str, folds: Sequence[str]) -> set[str]:
    """Return the cases that any of some folds has trained on, as far as nnU-Net's folders tell.

    Args:
        dataset: name of the data set's folder.
        folds: none takes all training cases, validated ones too.

    Raises:
        ValueError: splits_final.json is damaged.
    """
    path = find_splits(dataset)
    splits = [] if path is None else read_splits(path)
    if folds and all(fold.isdigit() for fold in folds):
        return {name for fold in map(int, folds) if fold < len(splits) for name in splits[fold]["train"]}
    raw = nnunet_folder_if_set("nnUNet_raw")
    labels = [] if raw is None else (raw / dataset / "labelsTr").glob("[!.]*")
    return {name for each in splits for side in each.values() for name in side} | {
        path.name.removesuffix(".gz").rpartition(".")[0] for path in labels
    }
