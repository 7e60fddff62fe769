"""Read a whole fold of nnU-Net's results: what was trained, how, and how well its validation cases are segmented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_mamba.results.confusion import ScoredCase
from nnunet_mamba.results.layout import ModelName, fold_of, validation_summary
from nnunet_mamba.results.plans import inherited
from nnunet_mamba.results.summaries import read_summary
from nnunet_mamba.results.training_logs import Epoch, read_training_log, training_logs
from nnunet_mamba.system.json_files import read_json_object


@dataclass(frozen=True, kw_only=True)
class TrainedFold:
    """A fold_X folder of nnU-Net's results.

    Args:
        folder: the fold's folder.
        dataset: name of the data set's folder.
        model: trainer, plans and configuration.
        fold: "0" … "4" or "all".
        patch_size: pixels, as nnU-Net orders the axes.
        batch_size: patches.
        epochs: in order.
        validation: nnU-Net's own validation cases, empty where it has not run.
    """

    folder: Path
    dataset: str
    model: ModelName
    fold: str
    patch_size: tuple[int, ...]
    batch_size: int
    epochs: Sequence[Epoch]
    validation: Sequence[ScoredCase] = field(default=())


def read_fold(folder: Path, *, names: Mapping[str, str] | None = None) -> TrainedFold:
    """Read a fold of nnU-Net's results: ``<results>/<data set>/<trainer>__<plans>__<configuration>/fold_<X>``.

    Args:
        folder: the fold's folder.
        names: of the labels and regions, by the keys of summary.json; a label without a name keeps its key.

    Raises:
        FileNotFoundError: the folder holds no training.
        ValueError: the folder is not where nnU-Net writes a fold, or a file in it is damaged.
    """
    fold = fold_of(folder)
    try:
        model = ModelName.parse(folder.parent.name)
    except ValueError:
        fold = None
    if fold is None:
        raise ValueError(
            f"{folder} is not a fold of nnU-Net's results: expected …/TRAINER__PLANS__CONFIGURATION/fold_X"
        )
    logs = training_logs(folder)
    if not logs:
        raise FileNotFoundError(f"{folder} has no training_log_*.txt; train this fold first")
    patch_size, batch_size = _patches(folder.parent / "plans.json", model.configuration)
    summary = validation_summary(folder)
    return TrainedFold(
        folder=folder,
        dataset=folder.parent.parent.name,
        model=model,
        fold=fold,
        patch_size=patch_size,
        batch_size=batch_size,
        epochs=read_training_log(logs),
        validation=read_summary(summary, names=names) if summary.is_file() else (),
    )


def _patches(path: Path, configuration: str) -> tuple[tuple[int, ...], int]:
    """Return patch and batch size of a configuration in the plans."""
    plans = read_json_object(path, any_encoding=True, unique_names=True)
    try:
        entries = inherited(plans["configurations"], configuration)
        return tuple(int(side) for side in entries["patch_size"]), int(entries["batch_size"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{path} does not tell the patches of configuration {configuration} ({reason}); expected nnU-Net's plans"
        ) from error
