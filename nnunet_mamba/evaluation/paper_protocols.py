"""The protocols by which papers score, each under its name, from the same counts and distances.

- "per-case mean": nnU-Net. Dice and IoU of each case, mean over cases; a case where both masks are empty is left out.
- "pooled pixels": VM-UNet, UltraLight VM-UNet, UltraLBM-UNet. One Dice and IoU of the pixels of all cases.
- "batch-pooled": the papers on Mamba for brain tumours. One Dice and IoU of the pixels of each batch, mean over
  batches, so the figure depends on the batches' size and order. A batch with empty masks alone is left out.
- "Synapse": VM-UNet and TransUNet. Dice and HD95 of each case by medpy, mean over cases. An empty prediction scores a
  Dice of 0 and an HD95 of 0, even where the reference is empty; a prediction for an absent organ scores a Dice of 1 and
  an HD95 of 0. So predicting nothing improves HD95: read it beside Dice.
- "ISIC 2018": the challenge's goal metric. IoU (Jaccard index) of each case, where less than 0.65 counts as 0 and two
  empty masks as 1; mean over cases (github.com/ImageMarkup/isic-challenge-scoring).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nnunet_mamba.evaluation.distances.conventions import MEDPY
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import Confusion, ScoredCase, mean
from nnunet_mamba.system.counts import how_many

PER_CASE, POOLED, BATCHES = "per-case mean", "pooled pixels", "batch-pooled"
SYNAPSE, ISIC = "Synapse", "ISIC 2018"
PROTOCOLS = (PER_CASE, POOLED, BATCHES, SYNAPSE, ISIC)
MEAN_OF_LABELS = "mean of labels"
# Of the Jaccard index in ISIC 2018.
THRESHOLD = 0.65
_SHOWN_NAMES = 5

_NOTHING = Confusion(tp=0, fp=0, fn=0, tn=0)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How cases are put into batches.

    Args:
        size: cases of a batch; the last one may have fewer. 16 is what the papers on tumours take for Mamba networks.
        order: identifiers of all cases; None sorts them.

    Raises:
        ValueError: the size is less than 1.
    """

    size: int = 16
    order: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a batch of {self.size} cases, expected at least 1: set `batch_size`")

    def of(self, cases: Sequence[ScoredCase]) -> list[list[ScoredCase]]:
        """Return the batches of some cases.

        Raises:
            ValueError: the order lacks a case, has one twice, or names one that is none.
        """
        by_identifier = {case.identifier: case for case in cases}
        order = sorted(by_identifier) if self.order is None else list(self.order)
        problems = {
            "are no cases": set(order) - by_identifier.keys(),
            "are missing": by_identifier.keys() - set(order),
            "are there twice": {name for name in order if order.count(name) > 1}
            if len(set(order)) < len(order)
            else (),
        }
        texts = [f"{_shown(names)} {text}" for text, names in problems.items() if names]
        if texts:
            raise ValueError(
                f"`batch_order` does not fit the {how_many(len(cases), 'case')}: {'; '.join(texts)}; name each case "
                "once"
            )
        ordered = [by_identifier[identifier] for identifier in order]
        return [ordered[start : start + self.size] for start in range(0, len(ordered), self.size)]


@dataclass(frozen=True, kw_only=True)
class ProtocolScore:
    """What one protocol says of one label; NaN where it has no such score.

    Args:
        protocol: of ``PROTOCOLS``.
        label: its name, or ``MEAN_OF_LABELS``.
        dice: 0 to 1.
        iou: 0 to 1.
        hd95: in the unit of the distances.
    """

    protocol: str
    label: str
    dice: float = math.nan
    iou: float = math.nan
    hd95: float = math.nan

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON, None for NaN."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


def protocol_scores(
    cases: Sequence[ScoredCase], *, distances: MeasuredDistances | None = None, batches: Batches | None = None
) -> list[ProtocolScore]:
    """Score all labels in every protocol, and the mean of several labels.

    Args:
        cases: with the same labels; at least one.
        distances: of these cases. Synapse's HD95 needs medpy's convention.
        batches: of the batch-pooled protocol; None takes its default.

    Raises:
        ValueError: there is no case, or ``batches`` do not fit them.
    """
    if not cases:
        raise ValueError("There is no case to score; check that the folder of predictions is not empty")
    in_batches = (batches or Batches()).of(cases)
    labels = list(cases[0].confusions)
    found = []
    for protocol, score in _SCORES.items():
        scores = [score(label, cases, distances, in_batches) for label in labels]
        found += scores
        if len(scores) > 1:
            means = {name: mean(getattr(each, name) for each in scores) for name in ("dice", "iou", "hd95")}
            found.append(ProtocolScore(protocol=protocol, label=MEAN_OF_LABELS, **means))
    return found


def read_batch_order(path: Path) -> list[str]:
    """Return the identifiers in a text file, one a line; empty lines do not count.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text in UTF-8.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}), expected the identifier of a case a line") from error


def _per_case(
    label: str, cases: Sequence[ScoredCase], distances: MeasuredDistances | None, _: Sequence[Sequence[ScoredCase]]
) -> ProtocolScore:
    counts = [case.confusions[label] for case in cases]
    hd95 = math.nan if distances is None else mean(each.hd95 for each in distances.of_label(label))
    return ProtocolScore(protocol=PER_CASE, label=label, hd95=hd95, **_mean_ratios(counts))


def _pooled(
    label: str, cases: Sequence[ScoredCase], _: MeasuredDistances | None, __: Sequence[Sequence[ScoredCase]]
) -> ProtocolScore:
    return ProtocolScore(protocol=POOLED, label=label, **_mean_ratios([_sum(cases, label)]))


def _batch_pooled(
    label: str, _: Sequence[ScoredCase], __: MeasuredDistances | None, batches: Sequence[Sequence[ScoredCase]]
) -> ProtocolScore:
    return ProtocolScore(protocol=BATCHES, label=label, **_mean_ratios([_sum(batch, label) for batch in batches]))


def _synapse(
    label: str, cases: Sequence[ScoredCase], distances: MeasuredDistances | None, _: Sequence[Sequence[ScoredCase]]
) -> ProtocolScore:
    has_hd95 = distances is not None and distances.measure.convention == MEDPY
    dice, hd95 = [], []
    for case in cases:
        counts = case.confusions[label]
        is_predicted, is_there = counts.tp + counts.fp > 0, counts.tp + counts.fn > 0
        dice.append(counts.dice if is_predicted and is_there else float(is_predicted))
        if distances is not None and has_hd95:
            hd95.append(distances.by_case[case.identifier][label].hd95 if is_predicted and is_there else 0.0)
    return ProtocolScore(protocol=SYNAPSE, label=label, dice=mean(dice), hd95=mean(hd95))


def _isic(
    label: str, cases: Sequence[ScoredCase], _: MeasuredDistances | None, __: Sequence[Sequence[ScoredCase]]
) -> ProtocolScore:
    jaccard = [1.0 if math.isnan(iou) else iou for iou in (case.confusions[label].iou for case in cases)]
    return ProtocolScore(protocol=ISIC, label=label, iou=mean(iou if iou >= THRESHOLD else 0.0 for iou in jaccard))


_Score = Callable[
    [str, Sequence[ScoredCase], MeasuredDistances | None, Sequence[Sequence[ScoredCase]]],
    ProtocolScore,
]
_SCORES: Mapping[str, _Score] = {
    PER_CASE: _per_case,
    POOLED: _pooled,
    BATCHES: _batch_pooled,
    SYNAPSE: _synapse,
    ISIC: _isic,
}


def _mean_ratios(counts: Sequence[Confusion]) -> dict[str, float]:
    return {"dice": mean(each.dice for each in counts), "iou": mean(each.iou for each in counts)}


def _sum(cases: Sequence[ScoredCase], label: str) -> Confusion:
    return sum((case.confusions[label] for case in cases), _NOTHING)


def _shown(names: "set[str] | tuple[()]") -> str:
    return ", ".join(sorted(names)[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
