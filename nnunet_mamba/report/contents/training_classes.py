"""How much of a data set each label or region is, as the references of all validations count it."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.results.confusion import ScoredCase


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """A label or region in the references.

    Args:
        label: its name.
        n_cases: that have it.
        of_cases: all cases.
        share: of all pixels or voxels, 0 to 1.
    """

    label: str
    n_cases: int
    of_cases: int
    share: float


def class_shares(cases: Sequence[ScoredCase]) -> list[ClassShare]:
    """Return the share of each label or region; nothing without cases.

    Args:
        cases: each once. What references hold does not depend on the model that was scored against them.
    """
    shares = []
    for label in cases[0].confusions if cases else ():
        counts = [case.confusions[label] for case in cases]
        n_positive = [each.tp + each.fn for each in counts]
        n_all = sum(each.tp + each.fp + each.fn + each.tn for each in counts)
        shares.append(
            ClassShare(
                label=label,
                n_cases=sum(map(bool, n_positive)),
                of_cases=len(cases),
                share=sum(n_positive) / n_all if n_all else 0.0,
            )
        )
    return shares
