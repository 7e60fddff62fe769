"""Read what nnU-Net leaves behind: summary.json, dataset.json, plans.json and the training logs."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_mamba.data.formats.dataset_json import labels_in
from nnunet_mamba.report.statistics import Confusion, ScoredCase
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?): (.*)$")
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


@dataclass(frozen=True, kw_only=True)
class TrainedFold:
    """A fold_X folder of nnU-Net's results.

    Args:
        folder: the fold's folder.
        dataset: name of the data set's folder.
        trainer: class name.
        plans: name of the plans.
        configuration: "2d", "3d_fullres", …
        fold: "0" … "4" or "all".
        patch_size: pixels, as nnU-Net orders the axes.
        batch_size: patches.
        epochs: in order.
        validation: nnU-Net's own validation cases, empty where it has not run.
    """

    folder: Path
    dataset: str
    trainer: str
    plans: str
    configuration: str
    fold: str
    patch_size: tuple[int, ...]
    batch_size: int
    epochs: Sequence[Epoch]
    validation: Sequence[ScoredCase] = field(default=())


def label_names(dataset_json: Mapping[str, Any], *, place: str = "dataset.json") -> dict[str, str]:
    """Return the name of each label or region by its key in summary.json; background and ignore are left out.

    Args:
        dataset_json: content of the file.
        place: the file, for the text of the error.

    Raises:
        ValueError: nnU-Net could not use the labels.
    """
    return labels_in(dataset_json, place=place).names


def read_summary(path: Path, *, names: dict[str, str] | None = None) -> list[ScoredCase]:
    """Read the cases of nnU-Net's summary.json, sorted by identifier.

    Args:
        path: the file.
        names: of the labels, as :func:`label_names` returns them; a label without a name keeps nnU-Net's key.

    Raises:
        ValueError: the file is not one of nnU-Net's summaries.
    """
    summary = read_json_object(path, any_encoding=True, unique_names=True)
    if not isinstance(summary.get("metric_per_case"), list):
        raise ValueError(f"{path} has no 'metric_per_case'; expected the summary.json of nnUNetv2_evaluate_folder")
    cases = []
    for number, entry in enumerate(summary["metric_per_case"], 1):
        try:
            identifier = _identifier(entry["prediction_file"])
            confusions = {(names or {}).get(key, key): _confusion(scores) for key, scores in entry["metrics"].items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{path}: case {number} of 'metric_per_case' is not as nnUNetv2_evaluate_folder writes it ({reason}); "
                "score the predictions again"
            ) from error
        cases.append(ScoredCase(identifier=identifier, confusions=confusions))
    return sorted(cases, key=lambda case: case.identifier)


_SHORT = ("tp", "fp", "fn", "tn")


def _confusion(scores: Mapping[str, Any]) -> Confusion:
    counts = {short: scores[short.upper()] for short in _SHORT}
    for short, count in counts.items():
        if not isinstance(count, int | float) or not math.isfinite(count) or count < 0 or count != int(count):
            raise ValueError(f"{short.upper()} is {count}, expected a number of voxels")
    return Confusion(**{short: int(count) for short, count in counts.items()})


def _identifier(file: str) -> str:
    name = re.split(r"[\\/]", file)[-1]
    return name[: -len(".nii.gz")] if name.endswith(".nii.gz") else name.rsplit(".", 1)[0]


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


def read_fold(folder: Path) -> TrainedFold:
    """Read a fold of nnU-Net's results: ``<results>/<data set>/<trainer>__<plans>__<configuration>/fold_<X>``.

    Raises:
        FileNotFoundError: the folder holds no training.
        ValueError: the folder is not where nnU-Net writes a fold.
    """
    parts = folder.parent.name.split("__")
    if not folder.name.startswith("fold_") or len(parts) != 3:
        raise ValueError(
            f"{folder} is not a fold of nnU-Net's results: expected …/TRAINER__PLANS__CONFIGURATION/fold_X"
        )
    logs = training_logs(folder)
    if not logs:
        raise FileNotFoundError(f"{folder} has no training_log_*.txt; train this fold first")
    description = folder.parent / "dataset.json"
    patch_size, batch_size = _patches(folder.parent / "plans.json", parts[2])
    names = label_names(read_json_object(description, any_encoding=True, unique_names=True), place=str(description))
    summary = folder / "validation" / "summary.json"
    return TrainedFold(
        folder=folder,
        dataset=folder.parent.parent.name,
        trainer=parts[0],
        plans=parts[1],
        configuration=parts[2],
        fold=folder.name.removeprefix("fold_"),
        patch_size=patch_size,
        batch_size=batch_size,
        epochs=read_training_log(logs),
        validation=read_summary(summary, names=names) if summary.is_file() else (),
    )


def _patches(path: Path, configuration: str) -> tuple[tuple[int, ...], int]:
    """Return patch and batch size of a configuration in the plans, with what it inherits."""
    plans = read_json_object(path, any_encoding=True, unique_names=True)
    try:
        merged: dict[str, Any] = {}
        name, seen = configuration, []
        while name:
            if name in seen:
                raise ValueError(f"{name} inherits from itself")
            seen.append(name)
            own = plans["configurations"][name]
            merged = {**own, **merged}
            name = own.get("inherits_from")
        return tuple(int(side) for side in merged["patch_size"]), int(merged["batch_size"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{path} does not tell the patches of configuration {configuration} ({reason}); expected nnU-Net's plans"
        ) from error


def write_case_table(cases: Sequence[ScoredCase], path: Path) -> None:
    """Write one line per case and label: Dice, IoU and the four counts; an empty field is 0 / 0.

    Raises:
        OSError: the file cannot be written; an earlier one is untouched.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["identifier", "label", "dice", "iou", "sensitivity", "specificity", "accuracy", *_SHORT])
        for case in cases:
            for label, confusion in case.confusions.items():
                names = ("dice", "iou", "sensitivity", "specificity", "accuracy")
                ratios = (getattr(confusion, name) for name in names)
                texts = ["" if math.isnan(ratio) else f"{ratio:.6f}" for ratio in ratios]
                writer.writerow([case.identifier, label, *texts, *(getattr(confusion, name) for name in _SHORT)])
