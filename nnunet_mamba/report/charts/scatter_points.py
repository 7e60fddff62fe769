"""The points of a scatter, and what has to be said of those that are not drawn or have no colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.report.charts.colours import is_known


@dataclass(frozen=True, kw_only=True)
class Point:
    """A network.

    Args:
        name: beside the point.
        x: parameters, > 0, which the axis shows in millions.
        y: score.
        amount: operations of an image; NaN where they are not known.
        spread: of the score; NaN without.
        is_published: whether others have measured it, which gives it another shape.
    """

    name: str
    x: float
    y: float
    amount: float = math.nan
    spread: float = math.nan
    is_published: bool = False

    @property
    def reach(self) -> float:
        """How far the bar of its spread reaches up and down; 0 without."""
        return self.spread if math.isfinite(self.spread) else 0.0


def drawable(points: Sequence[Point]) -> list[Point]:
    """Return the points that have a place on both axes."""
    return [point for point in points if _has_place(point)]


def left_out_text(points: Sequence[Point]) -> str:
    """Return in words which points have no place on the axes, and why; nothing where all have one."""
    told = [f"{point.name} ({_missing(point)})" for point in points if not _has_place(point)]
    return f"Not drawn: {', '.join(told)}." if told else ""


def unknown_text(points: Sequence[Point]) -> str:
    """Return what a point without a colour means; nothing where all points have one."""
    unknown = [point for point in points if not is_known(point.amount)]
    if not unknown:
        return ""
    return "compute not published" if all(point.is_published for point in unknown) else "compute not known"


def _has_place(point: Point) -> bool:
    return math.isfinite(point.x) and point.x > 0 and math.isfinite(point.y)


def _missing(point: Point) -> str:
    return "no score" if math.isfinite(point.x) and point.x > 0 else "parameters not known"
