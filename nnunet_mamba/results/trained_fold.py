"""Read a whole fold of nnU-Net's results: what was trained, how, and how well its validation cases are segmented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_mamba.results.confusion import ScoredCase
from nnunet_mamba.results.layout import ModelName, fold_of, validation_summary
from nnunet_mamba.results.summaries import read_summary
from nnunet_mamba.results.trained_model import TrainedModel
from nnunet_mamba.results.training_logs import Epoch, read_training_log, training_logs


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
    model, fold = TrainedModel.of_fold(folder), fold_of(folder)
    if model is None or fold is None:
        raise ValueError(
            f"{folder} is not a fold of nnU-Net's results: expected …/TRAINER__PLANS__CONFIGURATION/fold_X"
        )
    logs = training_logs(folder)
    if not logs:
        raise FileNotFoundError(f"{folder} has no training_log_*.txt; train this fold first")
    patch_size, batch_size = _patches(model)
    summary = validation_summary(folder)
    return TrainedFold(
        folder=folder,
        dataset=model.dataset,
        model=model.name,
        fold=fold,
        patch_size=patch_size,
        batch_size=batch_size,
        epochs=read_training_log(logs),
        validation=read_summary(summary, names=names) if summary.is_file() else (),
    )


def _patches(model: TrainedModel) -> tuple[tuple[int, ...], int]:
    """Return patch and batch size of the model's configuration in its plans."""
    try:
        entries = model.configuration()
        return tuple(int(side) for side in entries["patch_size"]), int(entries["batch_size"])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{model.plans_file} does not tell the patches of configuration {model.name.configuration} ({reason}); "
            "expected nnU-Net's plans"
        ) from error
