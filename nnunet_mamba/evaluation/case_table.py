"""Write the scores of every case as a table that spreadsheets read."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from nnunet_mamba.results.confusion import COUNTS, ScoredCase
from nnunet_mamba.system.atomic import replacing

_RATIOS = ("dice", "iou", "sensitivity", "specificity", "accuracy")


def write_case_table(cases: Sequence[ScoredCase], path: Path) -> None:
    """Write one line per case and label: ratios and the four counts; an empty field is 0 / 0.

    Raises:
        OSError: the file cannot be written; an earlier one is untouched.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["identifier", "label", *_RATIOS, *COUNTS])
        for case in cases:
            for label, confusion in case.confusions.items():
                ratios = (getattr(confusion, name) for name in _RATIOS)
                texts = ["" if math.isnan(ratio) else f"{ratio:.6f}" for ratio in ratios]
                writer.writerow([case.identifier, label, *texts, *(getattr(confusion, name) for name in COUNTS)])
