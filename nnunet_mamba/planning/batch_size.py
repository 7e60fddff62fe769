"""The largest batch whose training step fits: a straight line through a few measured steps, then the step itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# nnU-Net trains with no fewer, because statistics over a batch need two.
SMALLEST_BATCH = 2
# Far enough from 2 that a few MiB up or down hardly turn the line.
_SECOND_PROBE = 8
# A batch that is less than this larger is not worth another step.
_WORTH_A_STEP = 1.1

MeasureBatch = Callable[[int], int | None]


@dataclass(frozen=True, kw_only=True)
class BatchMemory:
    """A batch size and its memory in bytes.

    Args:
        batch_size: cases per batch.
        estimate: what smaller batches predicted; None if the line was drawn through this one.
        measured: what its own step took; None if there was not enough memory for it.
    """

    batch_size: int
    estimate: int | None
    measured: int | None

    @property
    def error_of_estimate(self) -> float | None:
        """By which share of the measurement the estimate is too large; None where one of them is missing."""
        if self.estimate is None or self.measured is None:
            return None
        return self.estimate / self.measured - 1


def largest_batch(measure: MeasureBatch, *, budget: int, ceiling: int) -> BatchMemory | None:
    """Return the largest batch of at least 2 that fits, its step measured; None if not even 2 fit.

    Args:
        measure: returns the bytes of a step with that many cases, None if there was not enough memory for it.
        budget: bytes that a step may take.
        ceiling: no batch is larger; at least 2.
    """
    first = measure(SMALLEST_BATCH)
    if first is None or first > budget:
        return None
    points, estimates = {SMALLEST_BATCH: first}, dict[int, int]()
    fitting, upper = SMALLEST_BATCH, ceiling
    while fitting < upper:
        candidate = _candidate(points, budget, upper)
        if candidate <= fitting or (len(points) > 2 and candidate < fitting * _WORTH_A_STEP):
            break
        if len(points) > 1:
            estimates[candidate] = _on_line(points, candidate)
        taken = measure(candidate)
        if taken is not None:
            points[candidate] = taken
        if taken is None:
            # By how much it is too large is not known, and the line stays as it was.
            upper = int(candidate / _WORTH_A_STEP)
        elif taken > budget:
            upper = candidate - 1
        else:
            fitting = candidate
    return BatchMemory(batch_size=fitting, estimate=estimates.get(fitting), measured=points[fitting])


def given_batch(measure: MeasureBatch, batch_size: int) -> BatchMemory:
    """Return what a batch takes: measured, and predicted where two smaller batches can be measured.

    Args:
        measure: as for ``largest_batch``.
        batch_size: to take, whether it fits or not.
    """
    points = {}
    for probe in sorted({SMALLEST_BATCH, min(_SECOND_PROBE, batch_size // 2)}):
        if SMALLEST_BATCH <= probe < batch_size and (taken := measure(probe)) is not None:
            points[probe] = taken
    estimate = _on_line(points, batch_size) if len(points) > 1 else None
    return BatchMemory(batch_size=batch_size, estimate=estimate, measured=measure(batch_size))


def _candidate(points: Mapping[int, int], budget: int, upper: int) -> int:
    """Return the batch to try next, at most ``upper``."""
    if len(points) == 1:
        # No batch takes more than its share of what the smallest took, constant part included.
        safe = SMALLEST_BATCH * budget // points[SMALLEST_BATCH]
        return min(upper, max(SMALLEST_BATCH + 1, min(safe, _SECOND_PROBE, upper // 2)))
    constant, per_case = _line(points)
    return upper if per_case <= 0 else min(upper, max(SMALLEST_BATCH, int((budget - constant) / per_case)))


def _on_line(points: Mapping[int, int], batch_size: int) -> int:
    """Return what the line through the measured batches predicts for another one."""
    constant, per_case = _line(points)
    return round(constant + per_case * batch_size)


def _line(points: Mapping[int, int]) -> tuple[float, float]:
    """Return the constant and the slope of the line through the two largest batches."""
    low, high = sorted(points)[-2:]
    per_case = (points[high] - points[low]) / (high - low)
    return points[low] - per_case * low, per_case
