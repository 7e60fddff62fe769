"""Write the scores of every case as a table that spreadsheets read."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import COUNTS, ScoredCase
from nnunet_mamba.system.atomic import replacing

_RATIOS = ("dice", "iou", "sensitivity", "specificity", "accuracy")
# Scripts count on the place of a column, so further ones follow at the end.
_FURTHER_RATIOS = ("precision",)
_DISTANCES = ("hd95", "assd", "nsd")
_UNIT = "distance_unit"


def write_case_table(cases: Sequence[ScoredCase], path: Path, distances: MeasuredDistances | None = None) -> None:
    """Write one line per case and label: ratios, the four counts and distances; an empty field is 0 / 0, or no score.

    Args:
        cases: in the order of the lines.
        path: of the table.
        distances: of all cases, None leaves their columns out.

    Raises:
        OSError: the file cannot be written; an earlier one is untouched.
    """
    columns = ["identifier", "label", *_RATIOS, *COUNTS, *_FURTHER_RATIOS]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns if distances is None else [*columns, *_DISTANCES, _UNIT])
        for case in cases:
            for label, confusion in case.confusions.items():
                counts = [getattr(confusion, name) for name in COUNTS]
                row = [
                    case.identifier,
                    label,
                    *_texts(confusion, _RATIOS),
                    *counts,
                    *_texts(confusion, _FURTHER_RATIOS),
                ]
                if distances is not None:
                    row += [*_texts(distances.by_case[case.identifier][label], _DISTANCES), distances.unit]
                writer.writerow(row)


def _texts(scores: object, names: Iterable[str]) -> list[str]:
    numbers = [getattr(scores, name) for name in names]
    return ["" if math.isnan(number) else f"{number:.6f}" for number in numbers]
