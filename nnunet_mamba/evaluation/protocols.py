"""Two ways to score the same label maps: nnU-Net's mean over cases, and the skin papers' one matrix over all pixels.

Per case Dice = 2 TP / (2 TP + FP + FN), then the mean over cases; a small lesion counts as much as a large one.
Pooled: TP, FP, FN and TN are summed over all pixels of all cases first; a large lesion counts for more. The two differ
by points on the same label maps, so both are always reported, each under its name.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nnunet_mamba.evaluation.measured_distances import MeanDistances, MeasuredDistances
from nnunet_mamba.results.confusion import Confusion, ScoredCase, mean


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Both protocols for one label or region.

    Args:
        label: its name in dataset.json.
        n_cases: cases scored.
        n_empty: cases without the label in reference and prediction. They have no Dice and are left out of the mean,
            as nnU-Net does; their pixels are in the pooled matrix as true negatives.
        n_empty_reference: cases with the label in the prediction only. Their Dice is 0 and is in the mean.
        n_empty_prediction: cases with the label in the reference only. Their Dice is 0 and is in the mean.
        mean_case_dice: nnU-Net's protocol.
        mean_case_iou: nnU-Net's protocol.
        pooled: the skin papers' protocol.
        distances: means over cases, None if they were not measured.
    """

    label: str
    n_cases: int
    n_empty: int
    n_empty_reference: int
    n_empty_prediction: int
    mean_case_dice: float
    mean_case_iou: float
    pooled: Confusion
    distances: MeanDistances | None = None

    def as_dict(self) -> dict[str, object]:
        """Return all scores as plain numbers for JSON, None where a ratio is 0 / 0."""
        names = ("iou", "sensitivity", "specificity", "accuracy", "precision")
        pooled = {name: getattr(self.pooled, name) for name in names}
        per_case: dict[str, object] = {
            "mean_dice": _or_none(self.mean_case_dice),
            "mean_iou": _or_none(self.mean_case_iou),
        }
        if self.distances is not None:
            per_case |= {f"mean_{name}": _or_none(getattr(self.distances, name)) for name in ("hd95", "assd", "nsd")}
            per_case["distance_unit"] = self.distances.unit
        return {
            "label": self.label,
            "n_cases": self.n_cases,
            "n_empty": self.n_empty,
            "n_empty_reference": self.n_empty_reference,
            "n_empty_prediction": self.n_empty_prediction,
            "per_case": per_case,
            "pooled": {
                "dsc": _or_none(self.pooled.dice),
                **{name: _or_none(value) for name, value in pooled.items()},
                **asdict(self.pooled),
            },
        }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def score_labels(cases: Sequence[ScoredCase], distances: MeasuredDistances | None = None) -> list[LabelScores]:
    """Score every label or region of ``cases`` with both protocols.

    Args:
        cases: with the same labels.
        distances: of these cases.

    Raises:
        ValueError: there is no case, or the cases do not all have the same labels.
    """
    if not cases:
        raise ValueError("There is no case to score; check that the folder of predictions is not empty")
    labels = list(cases[0].confusions)
    for case in cases:
        if list(case.confusions) != labels:
            raise ValueError(
                f"Case {case.identifier} is scored for {list(case.confusions)}, case {cases[0].identifier} "
                f"for {labels}; score all cases with the same dataset.json"
            )
    return [_score_label(label, [case.confusions[label] for case in cases], distances) for label in labels]


def _score_label(label: str, confusions: Sequence[Confusion], distances: MeasuredDistances | None) -> LabelScores:
    return LabelScores(
        label=label,
        n_cases=len(confusions),
        n_empty=sum(math.isnan(confusion.dice) for confusion in confusions),
        n_empty_reference=sum(not confusion.tp + confusion.fn and confusion.fp > 0 for confusion in confusions),
        n_empty_prediction=sum(not confusion.tp + confusion.fp and confusion.fn > 0 for confusion in confusions),
        mean_case_dice=mean(confusion.dice for confusion in confusions),
        mean_case_iou=mean(confusion.iou for confusion in confusions),
        pooled=sum(confusions, Confusion(tp=0, fp=0, fn=0, tn=0)),
        distances=None if distances is None else MeanDistances.over(distances.of_label(label), distances.unit),
    )
