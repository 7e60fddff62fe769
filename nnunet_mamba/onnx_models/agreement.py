"""Whether two sets of logits are equal, up to what a processor rounds in another order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.system.checked_entries import Entry

FloatArray = npt.NDArray[np.float32]

# Of the largest logit, or of 1 where that is less. Large networks add up more numbers.
_ALLOWED, _ALLOWED_IN_LARGE = 1e-4, 1e-3
_LARGE = 20_000_000
# Share of the pixels that may have another label, where rounding decides between two; and the most, whatever a network
# itself rounds.
_OTHER_LABELS, _MOST_OTHER_LABELS = 1e-4, 1e-2


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far logits may be from expected ones if they come of the same network.

    Args:
        error: ``Agreement.relative_error`` at most.
        other_labels: share of the pixels with other labels at most; one pixel may always have another.
    """

    error: float
    other_labels: float = _OTHER_LABELS

    @classmethod
    def of_network(cls, n_parameters: int) -> "Tolerance":
        """Return what rounding explains in a network of so many parameters."""
        return cls(error=_ALLOWED_IN_LARGE if n_parameters > _LARGE else _ALLOWED)

    @classmethod
    def of_rounding(cls, own: "Agreement", times: float) -> "Tolerance":
        """Return what rounding explains in a network of which its own rounding is known.

        Args:
            own: how its logits agree with those of double precision.
            times: that much of it is allowed.
        """
        other_labels = min(times * (1 - own.equal_labels), _MOST_OTHER_LABELS)
        return cls(error=times * own.relative_error, other_labels=other_labels)

    @classmethod
    def from_entry(cls, entry: Entry) -> "Tolerance":
        """Return what ``to_json`` gave.

        Raises:
            ValueError: an entry is missing or makes no sense.
        """
        other_labels = entry.optional("allowed_other_labels").number_or_none()
        return cls(
            error=entry.at("allowed_error").number(),
            other_labels=_OTHER_LABELS if other_labels is None else other_labels,
        )

    def to_json(self) -> dict[str, float]:
        """Return it as JSON values, the share of other labels only where it is not the usual one."""
        usual = self.other_labels == _OTHER_LABELS
        return {"allowed_error": self.error, **({} if usual else {"allowed_other_labels": self.other_labels})}

    def or_more(self, other: "Tolerance") -> "Tolerance":
        """Return what either of two allows."""
        return Tolerance(error=max(self.error, other.error), other_labels=max(self.other_labels, other.other_labels))

    def in_words(self) -> str:
        """Return a part of a sentence that tells the numbers."""
        return f"at most {self.error:.2g} of the largest logit and {1 - self.other_labels:.2%} of the pixels"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How near found logits are to expected ones.

    Args:
        error: the largest difference of two logits; infinite where one is not finite.
        largest: the largest of the expected logits, without sign.
        equal_labels: share of the pixels with equal labels, or equally inside all regions.
        n_labels: pixels of all images.
    """

    error: float
    largest: float
    equal_labels: float
    n_labels: int

    @property
    def relative_error(self) -> float:
        """The error as a share of the largest logit, or of 1 where that is less."""
        return self.error / max(1.0, self.largest)

    def is_within(self, allowed: Tolerance) -> bool:
        """Return whether error and labels are what rounding explains."""
        n_other = round((1 - self.equal_labels) * self.n_labels)
        return self.relative_error <= allowed.error and n_other <= max(1.0, allowed.other_labels * self.n_labels)

    def in_words(self) -> str:
        """Return a part of a sentence that tells the numbers."""
        return (
            f"the largest logit error is {self.error:.2g} where the largest logit is {self.largest:.3g}, and "
            f"{self.equal_labels:.4%} of the pixels have equal labels"
        )


def agreement(found: FloatArray, expected: FloatArray, *, has_regions: bool) -> Agreement:
    """Compare logits.

    Args:
        found: (b, heads, *spatial).
        expected: of the same shape.
        has_regions: whether every head is a region, inside above 0; otherwise the largest logit is the label.

    Raises:
        ValueError: the shapes differ.
    """
    if found.shape != expected.shape:
        raise ValueError(f"the logits have the shape {found.shape}, expected {expected.shape}")
    is_finite = bool(np.isfinite(found).all() and np.isfinite(expected).all())
    if has_regions:
        equal: npt.NDArray[Any] = ((found > 0) == (expected > 0)).all(axis=1)
    else:
        equal = found.argmax(axis=1) == expected.argmax(axis=1)
    return Agreement(
        error=float(np.abs(found - expected).max()) if is_finite else float("inf"),
        largest=float(np.abs(expected).max()) if is_finite else float("inf"),
        equal_labels=float(equal.mean()),
        n_labels=equal.size,
    )


def worst_of(agreements: Sequence[Agreement]) -> Agreement:
    """Return the one of the largest relative error, with the smallest share of equal labels."""
    worst = max(agreements, key=lambda one: one.relative_error)
    return replace(worst, equal_labels=min(one.equal_labels for one in agreements))


def probabilities_of(logits: FloatArray, *, has_regions: bool) -> FloatArray:
    """Return the probability of every region, or of every label, (b, heads, *spatial) like ``logits``."""
    with np.errstate(over="ignore"):
        if has_regions:
            found: FloatArray = 1 / (np.float32(1) + np.exp(-logits))
        else:
            grown = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = grown / grown.sum(axis=1, keepdims=True)
    return found
