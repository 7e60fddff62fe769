"""What becomes of the cases of a data set: those that train, validate and test, and how a draw decides it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

BY_PATIENT = "lgg-by-patient"
# Of nnU-Net's own five folds.
NNUNET_SEED = 12345

# Identifier of a training case to its group, None for a case that is a group of its own.
Groups: TypeAlias = Mapping[str, str | None]


@dataclass(frozen=True)
class Fold:
    """The training cases of one training, and those that it is validated with.

    Args:
        train: sorted identifiers.
        val: sorted identifiers.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]

    @classmethod
    def of(cls, train: Collection[str], val: Collection[str]) -> "Fold":
        """Return the fold with both sides sorted."""
        return cls(tuple(sorted(train)), tuple(sorted(val)))


@dataclass(frozen=True, kw_only=True)
class Split:
    """What becomes of all cases of a data set.

    Args:
        name: of ``case_splits.SPLIT_NAMES``, or of ``held_out``.
        folds: of the training cases; none if there is nothing to hold out.
        test: sorted identifiers of the cases that belong into imagesTs.
        source: where the split comes from.
        warning: what to tell whoever trains with it.
    """

    name: str
    folds: tuple[Fold, ...]
    test: tuple[str, ...] = ()
    source: str
    warning: str | None = None

    def only(self, identifiers: Collection[str]) -> "Split":
        """Return the split of some of its cases, such as those that a conversion keeps.

        Folds that lose all of their validation cases, such as those of one patient, are left out.

        Args:
            identifiers: of the cases to keep.

        Raises:
            ValueError: a fold has nothing left to train with, or no fold anything to validate with.
        """
        kept = set(identifiers)
        folds = [Fold.of(kept.intersection(fold.train), kept.intersection(fold.val)) for fold in self.folds]
        folds = [fold for fold in folds if fold.val]
        if self.folds and not (folds and all(fold.train for fold in folds)):
            raise ValueError(
                f"without the cases that are left out, {self.name} has a fold with nothing to train or validate with; "
                "repair these cases, or choose another `split`"
            )
        return replace(self, folds=tuple(folds), test=tuple(name for name in self.test if name in kept))

    def as_json(self) -> list[dict[str, list[str]]]:
        """Return the content of nnU-Net's splits_final.json."""
        return [{"train": list(fold.train), "val": list(fold.val)} for fold in self.folds]


def train_test_split(identifiers: Sequence[str], n_test: int, seed: int) -> tuple[list[str], list[str]]:
    """Split as scikit-learn's function of this name does; RandomState never changes how it shuffles.

    Args:
        identifiers: in an order that does not depend on the machine.
        n_test: of the second part.
        seed: of the draw.
    """
    order = np.random.RandomState(seed).permutation(len(identifiers))
    shuffled = [identifiers[index] for index in order]
    return shuffled[n_test:], shuffled[:n_test]


def leak_between(parts: Sequence[Sequence[str]], groups: Groups) -> str | None:
    """Return a warning if cases of a group are in several parts; None if none are.

    Args:
        parts: identifiers on each side.
        groups: of all of them.
    """
    found = Counter(group for part in parts for group in {groups[name] for name in part} if group is not None)
    shared = [group for group, n_parts in found.items() if n_parts > 1]
    if not shared:
        return None
    return (
        f"{len(shared)} of {len(found)} patients or lesions have cases on several sides of this split, so its scores "
        f"are better than those on new patients; `split='five-fold'` keeps them apart, as {BY_PATIENT} does for LGG"
    )
