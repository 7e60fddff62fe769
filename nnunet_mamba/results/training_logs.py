"""Read what nnU-Net logs while it trains: losses, pseudo Dice and time of every epoch."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.system.json_files import read_json_object

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?): (.*)$")
# Our trainers log it when they begin or continue.
_RECIPE = re.compile(r"^.*: (Recipe: .*)$", re.MULTILINE)
_SEED = re.compile(r"\bNNUNET_MAMBA_SEED=(\d+)")
_LOSS = {"train_loss": "train_loss", "val_loss": "validation_loss"}


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a training, as the log has it.

    Args:
        number: from 0.
        train_loss: mean over the training iterations.
        validation_loss: mean over the validation iterations.
        pseudo_dice: nnU-Net's estimate on random patches of the validation cases, one per label or region.
        seconds: wall time.
    """

    number: int
    train_loss: float = math.nan
    validation_loss: float = math.nan
    pseudo_dice: tuple[float, ...] = ()
    seconds: float = math.nan


def logged_seed(paths: Sequence[Path]) -> int | None:
    """Return the seed of a training; None if it had none, or parts of it had others.

    Args:
        paths: its logs. One that a validation alone wrote does not count.
    """
    seeds = set()
    for path in paths:
        for recipe in _RECIPE.findall(path.read_text(encoding="utf-8", errors="replace")):
            found = _SEED.search(recipe)
            seeds.add(int(found[1]) if found else None)
    return seeds.pop() if len(seeds) == 1 else None


def read_training_log(paths: Sequence[Path]) -> list[Epoch]:
    """Read the epochs of one training from its logs; a restart writes another log and may repeat epochs.

    Args:
        paths: in the order they were written; of an epoch that occurs twice the later one counts.
    """
    epochs: dict[int, dict[str, Any]] = {}
    for path in paths:
        number: int | None = None
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            stamped = _STAMP.match(line)
            text = (stamped[2] if stamped else line).strip()
            if found := re.fullmatch(r"Epoch (\d+)", text):
                number = int(found[1])
                # What an interrupted run had logged beyond this epoch was trained anew.
                epochs = {known: values for known, values in epochs.items() if known < number}
                epochs[number] = {}
            elif number is not None:
                epochs[number].update(_logged_values(text))
    return [Epoch(number=number, **values) for number, values in sorted(epochs.items()) if values]


def _logged_values(text: str) -> dict[str, Any]:
    word, _, rest = text.partition(" ")
    if word in _LOSS and re.fullmatch(_NUMBER, rest):
        return {_LOSS[word]: float(rest)}
    if text.startswith("Pseudo dice"):
        plain = re.sub(r"np\.float\d+", "", text.removeprefix("Pseudo dice"))
        return {"pseudo_dice": tuple(float(number) for number in re.findall(_NUMBER, plain))}
    if found := re.fullmatch(rf"Epoch time: ({_NUMBER}) s", text):
        return {"seconds": float(found[1])}
    return {}


def training_logs(fold: Path) -> list[Path]:
    """Return the training logs of a fold's folder, oldest first."""
    return sorted(fold.glob("training_log_*.txt"), key=_log_time)


def _log_time(path: Path) -> tuple[list[int], str]:
    # nnU-Net does not pad the numbers, so names do not sort by time.
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name


def planned_epochs(fold: Path) -> int | None:
    """Return a training's number of epochs, which stock nnU-Net tells in debug.json alone; None before it has.

    Args:
        fold: the fold's folder.
    """
    try:
        n_epochs = int(read_json_object(fold / "debug.json")["num_epochs"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        # Not there yet, or being written.
        return None
    return n_epochs if n_epochs > 0 else None
