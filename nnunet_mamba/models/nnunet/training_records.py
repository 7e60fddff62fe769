"""How a model was trained, as far as nnU-Net's checkpoints and logs tell; never on whose machine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nnunet_mamba import __version__
from nnunet_mamba.models.description import FoldRecord, TrainingRecord
from nnunet_mamba.results.layout import fold_name
from nnunet_mamba.results.training_logs import Epoch, logged_seed, read_training_log, training_logs
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.trainer_name import TrainerName

_STARTS, _ENDS = "epoch_start_timestamps", "epoch_end_timestamps"


def fold_record(name: str, stored: Mapping[str, Any]) -> FoldRecord:
    """Return what is known of a fold's training.

    Args:
        name: of the fold.
        stored: content of its checkpoint.
    """
    epochs, best = stored.get("current_epoch"), stored.get("_best_ema")
    return FoldRecord(
        name=name,
        epochs=None if epochs is None else int(epochs),
        # A validation without any foreground has NaN.
        best_ema_dice=None if best is None or not math.isfinite(best) else float(best),
    )


def training_record(trainer: str, stored: Mapping[str, Mapping[str, Any]], folder: Path) -> TrainingRecord:
    """Return what is known of the training of all folds.

    Args:
        trainer: its name.
        stored: content of the checkpoint of each fold.
        folder: of the model.
    """
    folders = {name: folder / fold_name(name) for name in stored}
    epochs = {fold_record(name, content).epochs for name, content in stored.items()}
    seconds = [_seconds(content, folders[name]) for name, content in stored.items()]
    seeds = {_seed(trainer, fold) for fold in folders.values()}
    debug = [_debug(fold) for fold in folders.values()]
    devices = [_device(content, debug[index]) for index, content in enumerate(stored.values())]
    torch_versions = [text for told in debug if isinstance(text := told.get("torch_version"), str)]
    return TrainingRecord(
        trainer=trainer,
        epochs=epochs.pop() if len(epochs) == 1 else None,
        seed=seeds.pop() if len(seeds) == 1 else None,
        seconds=None if None in seconds else round(math.fsum(value for value in seconds if value is not None), 1),
        device=" and ".join(sorted(filter(None, set(devices)))) or None,
        versions={"torch": " and ".join(sorted(set(torch_versions)))} if torch_versions else {},
    )


def training_table(folder: Path, folds: Sequence[str]) -> str:
    """Return the epochs of all folds as comma-separated rows; empty without any log.

    Args:
        folder: of the model.
        folds: their names.
    """
    columns = [field.name for field in fields(Epoch)]
    rows = [
        ",".join((fold, *(_cell(getattr(epoch, column)) for column in columns)))
        for fold in folds
        for epoch in read_training_log(training_logs(folder / fold_name(fold)))
    ]
    return "\n".join([",".join(("fold", *columns)), *rows, ""]) if rows else ""


def _cell(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_cell, value))
    return "" if math.isnan(value) else str(value)


def installed_versions() -> dict[str, str]:
    """Return the versions of nnunet-mamba, torch and nnunetv2 in this installation."""
    return {"nnunet-mamba": __version__, **{name: version(name) for name in ("torch", "nnunetv2")}}


def _seed(trainer: str, fold: Path) -> int | None:
    """Return the seed of a fold's training: that of the name, which needs no log, or else the logged one."""
    name = TrainerName.parse(trainer)
    return name.seed if name.is_ours and name.seed is not None else logged_seed(training_logs(fold))


def _seconds(stored: Mapping[str, Any], fold: Path) -> float | None:
    """Return how long the epochs of a fold took together; None if nothing tells."""
    logging = stored.get("logging", {})
    starts, ends = (logging.get(name) for name in (_STARTS, _ENDS))
    if isinstance(starts, list) and isinstance(ends, list) and starts and len(starts) == len(ends):
        try:
            total = math.fsum(float(end) - float(start) for start, end in zip(starts, ends, strict=True))
        except (TypeError, ValueError):
            total = math.nan
        if math.isfinite(total) and total > 0:
            return total
    seconds = [epoch.seconds for epoch in read_training_log(training_logs(fold))]
    return math.fsum(seconds) if seconds and all(map(math.isfinite, seconds)) else None


def _device(stored: Mapping[str, Any], debug: Mapping[str, Any]) -> str | None:
    """Return the kind of device of a training, and the name of a GPU; not its number, which means something there."""
    kind = getattr(stored["init_args"].get("device"), "type", None)
    gpu = debug.get("gpu_name")
    return f"{kind}, {gpu}" if kind == "cuda" and isinstance(gpu, str) and gpu else kind


def _debug(fold: Path) -> Mapping[str, Any]:
    """Return what nnU-Net wrote of a training for whoever debugs it: much about the machine, most of it not taken."""
    try:
        return read_json_object(fold / "debug.json", any_encoding=True)
    except (OSError, ValueError):
        return {}
