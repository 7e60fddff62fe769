"""Scores of predicted label maps, in the two protocols that papers use."""

import os
from collections.abc import Sequence
from pathlib import Path

from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.evaluation.protocols import LabelScores

PER_CASE, POOLED = "per_case", "pooled"


def scores_of(predictions: Path, labels: Path, output: Path) -> list[LabelScores]:
    """Score a folder of label maps.

    Args:
        predictions: the folder; cases without a prediction are left out.
        labels: of at least these cases, with dataset.json beside the folder.
        output: made, and gets the files of the scores.
    """
    output.mkdir(parents=True, exist_ok=True)
    return evaluate_folders(
        predictions, labels, output=output, allow_missing=True, processes=os.cpu_count() or 1
    ).scores


def mean_dice(rows: Sequence[LabelScores], protocol: str) -> float:
    """Return the mean of the labels' Dice.

    Args:
        rows: of the labels.
        protocol: PER_CASE or POOLED.
    """
    return sum(row.mean_case_dice if protocol == PER_CASE else row.pooled.dice for row in rows) / len(rows)
