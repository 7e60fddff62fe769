"""Whether two sets of logits are equal, up to what a processor rounds in another order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

# Of the largest logit, or of 1 where that is less. Large networks add up more numbers.
_ALLOWED, _ALLOWED_IN_LARGE = 1e-4, 1e-3
_LARGE = 20_000_000
_EQUAL_LABELS = 0.9999


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How near found logits are to expected ones.

    Args:
        error: the largest difference of two logits; infinite where one is not finite.
        largest: the largest of the expected logits, without sign.
        equal_labels: share of the pixels with equal labels, or equally inside all regions.
    """

    error: float
    largest: float
    equal_labels: float

    @property
    def relative_error(self) -> float:
        """The error as a share of the largest logit, or of 1 where that is less."""
        return self.error / max(1.0, self.largest)

    def is_within(self, allowed: float) -> bool:
        """Return whether error and labels are what rounding explains.

        Args:
            allowed: ``relative_error`` at most, see ``allowed_error``.
        """
        return self.relative_error <= allowed and self.equal_labels >= _EQUAL_LABELS

    def in_words(self) -> str:
        """Return a part of a sentence that tells the numbers."""
        return (
            f"the largest logit error is {self.error:.2g} where the largest logit is {self.largest:.3g}, and "
            f"{self.equal_labels:.4%} of the pixels have equal labels"
        )


def allowed_error(n_parameters: int) -> float:
    """Return the largest ``Agreement.relative_error`` for a network of so many parameters."""
    return _ALLOWED_IN_LARGE if n_parameters > _LARGE else _ALLOWED


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
    )


def probabilities_of(logits: FloatArray, *, has_regions: bool) -> FloatArray:
    """Return the probability of every region, or of every label, (b, heads, *spatial) like ``logits``."""
    with np.errstate(over="ignore"):
        if has_regions:
            found: FloatArray = 1 / (np.float32(1) + np.exp(-logits))
        else:
            grown = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = grown / grown.sum(axis=1, keepdims=True)
    return found
