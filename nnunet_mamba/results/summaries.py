"""Read nnU-Net's summary.json: the counts of every case, and the mean Dice of all."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_mamba.results.confusion import COUNTS, Confusion, ScoredCase
from nnunet_mamba.system.json_files import read_json_object


def read_summary(
    path: Path, *, names: Mapping[str, str] | None = None, identifiers: Mapping[str, str] | None = None
) -> list[ScoredCase]:
    """Read the cases of nnU-Net's summary.json, sorted by identifier.

    Args:
        path: the file.
        names: of the labels and regions, by the keys of the file; a label without a name keeps its key.
        identifiers: of cases, by the files of their predictions; a case without one has the name of its file.

    Raises:
        ValueError: the file is not one of nnU-Net's summaries, has no case, or has one twice.
    """
    summary = read_json_object(path, any_encoding=True, unique_names=True)
    if not isinstance(summary.get("metric_per_case"), list):
        raise ValueError(f"{path} has no 'metric_per_case'; expected the summary.json of nnUNetv2_evaluate_folder")
    if not summary["metric_per_case"]:
        raise ValueError(f"{path} has no case in 'metric_per_case', so there is nothing to score; validate again")
    cases = []
    for number, entry in enumerate(summary["metric_per_case"], 1):
        try:
            file = entry["prediction_file"]
            identifier = (identifiers or {}).get(file) or _identifier(file)
            confusions = {(names or {}).get(key, key): _confusion(scores) for key, scores in entry["metrics"].items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{path}: case {number} of 'metric_per_case' is not as nnUNetv2_evaluate_folder writes it ({reason}); "
                "score the predictions again"
            ) from error
        cases.append(ScoredCase(identifier=identifier, confusions=confusions))
    if repeated := [name for name, count in Counter(case.identifier for case in cases).items() if count > 1]:
        raise ValueError(
            f"{path} has {repeated[0]} more than once, and each case counts once; score the predictions again"
        )
    return sorted(cases, key=lambda case: case.identifier)


def _confusion(scores: Mapping[str, Any]) -> Confusion:
    counts = {short: scores[short.upper()] for short in COUNTS}
    for short, count in counts.items():
        if (
            isinstance(count, bool)
            or not isinstance(count, int | float)
            or not math.isfinite(count)
            or count < 0
            or count != int(count)
        ):
            raise ValueError(f"{short.upper()} is {count}, expected a number of voxels")
    return Confusion(**{short: int(count) for short, count in counts.items()})


def _identifier(file: str) -> str:
    name = re.split(r"[\\/]", file)[-1]
    return name[: -len(".nii.gz")] if name.endswith(".nii.gz") else name.rsplit(".", 1)[0]


def read_mean_dice(path: Path) -> float:
    """Return nnU-Net's mean Dice, over cases and then over labels or regions; NaN without any foreground.

    Args:
        path: the summary.json of a fold's final validation.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not one of nnU-Net's summaries.
    """
    try:
        dice = read_json_object(path)["foreground_mean"]["Dice"]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} has no foreground_mean with a Dice, expected nnU-Net's; delete it and run again"
        ) from error
    if isinstance(dice, bool) or not isinstance(dice, int | float) or not (math.isnan(dice) or 0 <= dice <= 1):
        raise ValueError(f"{path} has the Dice {dice!r}, expected 0 to 1; delete it and run again")
    return float(dice)


def scored_cases(path: Path) -> set[str]:
    """Return the identifiers of the cases of a summary.json, as far as it tells them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not hold a JSON object.
    """
    entries = read_json_object(path).get("metric_per_case")
    files = [entry.get("prediction_file") for entry in entries or () if isinstance(entry, dict)]
    return {_identifier(file) for file in files if isinstance(file, str)}


def count_cases(path: Path) -> int:
    """Return how many cases a summary.json has; 0 if it does not say.

    Raises:
        ValueError: the file does not hold a JSON object.
    """
    cases = read_json_object(path).get("metric_per_case")
    return len(cases) if isinstance(cases, list) else 0
