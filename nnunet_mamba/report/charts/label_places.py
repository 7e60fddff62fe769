"""Where names fit near points without covering anything, or being crossed by a line."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TypeAlias

# Left, top, width and height; rows count downwards.
Box: TypeAlias = tuple[float, float, float, float]
Spot: TypeAlias = tuple[float, float]
Line: TypeAlias = tuple[Spot, Spot]

# How far from a point a name with a leader line may begin, in heights of a line of text, and in how many directions.
_RINGS, _DIRECTIONS = (1.2, 2.0, 3.0, 4.5, 6.5, 9.0, 12.0, 16.0), 16
N_RINGS = len(_RINGS)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a name lies.

    Args:
        box: that it takes at most.
        anchor: the side of the box that the text clings to: "start", "middle" or "end".
        leader: a line from the point to the name; None where the name lies beside its point.
    """

    box: Box
    anchor: str
    leader: Line | None = None

    @property
    def x(self) -> float:
        """Where a text with this anchor is written."""
        return self.box[0] + {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * self.box[2]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far from its point a name may lie, with a leader line.

    Args:
        line: height of a line of text, in which distances are counted.
        n_rings: around the point, on which the line may end.
    """

    line: float
    n_rings: int = N_RINGS


BESIDE = Reach(line=0, n_rings=0)


class Crossing(IntEnum):
    """What a leader line may cross."""

    NOTHING = 0
    BARS = 1
    ANY_MARK = 2
    NAMES_TOO = 3


class LabelSpace:
    """A plane that fills with names, one after the other.

    Args:
        area: where names may lie.
        marks: of points, which names may not touch.
        bars: of their spread, which names may not touch either.
    """

    def __init__(self, area: Box, *, marks: Sequence[Box], bars: Sequence[Box] = ()) -> None:
        self._area = area
        self._marks = list(marks)
        self._bars = list(bars)
        self._names: list[Box] = []
        self._leaders: list[Line] = []

    def place(
        self,
        point: Spot,
        size: Spot,
        *,
        gap: float,
        reach: Reach = BESIDE,
        crossing: Crossing = Crossing.NOTHING,
    ) -> Place | None:
        """Return the first place that is free, and take it; None where none is.

        Those beside the point come first, then, with a leader line, those farther away.

        Args:
            point: x and y of its centre.
            size: width and height of the name.
            gap: between the centre of the point and the name.
            reach: how far away the name may lie.
            crossing: what its leader line may cross.
        """
        for place in _places(point, size, gap=gap, reach=reach):
            if self._is_free(place.box) and (place.leader is None or self._may_be_drawn(place.leader, crossing)):
                self._names.append(place.box)
                if place.leader is not None:
                    self._leaders.append(place.leader)
                return place
        return None

    def _is_free(self, box: Box) -> bool:
        return (
            _is_within(box, self._area)
            and not any(_overlap(box, other) for other in (*self._marks, *self._bars, *self._names))
            and not any(_crosses(leader, box) for leader in self._leaders)
        )

    def _may_be_drawn(self, leader: Line, crossing: Crossing) -> bool:
        if crossing < Crossing.ANY_MARK and any(_cross(leader, other) for other in self._leaders):
            return False
        boxes: list[Box] = []
        for least, kind in (
            (Crossing.BARS, self._bars),
            (Crossing.ANY_MARK, self._marks),
            (Crossing.NAMES_TOO, self._names),
        ):
            if crossing < least:
                boxes += kind
        return not any(_crosses(leader, box) for box in boxes)


def beside(point: Spot, size: Spot, *, gap: float) -> list[Place]:
    """Return the eight places around a point, the best first.

    Args:
        point: x and y of its centre.
        size: width and height of the name.
        gap: between the centre of the point and the name.
    """
    x, y = point
    width, height = size
    sides = (("start", x + gap), ("end", x - gap - width))
    above, middle, below = y - gap - height, y - height / 2, y + gap
    corners = gap / math.sqrt(2)
    places = [(anchor, left, middle) for anchor, left in sides]
    places += [("middle", x - width / 2, top) for top in (above, below)]
    places += [
        (anchor, left, top)
        for anchor, left in (("start", x + corners), ("end", x - corners - width))
        for top in (y - corners - height, y + corners)
    ]
    return [Place(box=(left, top, width, height), anchor=anchor) for anchor, left, top in places]


def _places(point: Spot, size: Spot, *, gap: float, reach: Reach) -> Iterator[Place]:
    yield from beside(point, size, gap=gap)
    x, y = point
    width, height = size
    for ring in _RINGS[: reach.n_rings]:
        length = gap + ring * reach.line
        for step in range(_DIRECTIONS):
            cosine, sine = (f(2 * math.pi * step / _DIRECTIONS) for f in (math.cos, math.sin))
            end = (x + length * cosine, y + length * sine)
            # The name begins where the line ends: at its side, its corner, or the middle of its edge.
            share_x, anchor = (0.5, "middle") if abs(cosine) < 0.3 else (0.0, "start") if cosine > 0 else (1.0, "end")
            share_y = 0.5 if abs(sine) < 0.3 else 0.0 if sine > 0 else 1.0
            start = (x + 0.8 * gap * cosine, y + 0.8 * gap * sine)
            box = (end[0] - share_x * width, end[1] - share_y * height, width, height)
            yield Place(box=box, anchor=anchor, leader=(start, end))


def _is_within(box: Box, area: Box) -> bool:
    left, top, width, height = box
    return (
        left >= area[0] and top >= area[1] and left + width <= area[0] + area[2] and top + height <= area[1] + area[3]
    )


def _overlap(one: Box, other: Box) -> bool:
    is_beside = one[0] >= other[0] + other[2] or other[0] >= one[0] + one[2]
    is_above = one[1] >= other[1] + other[3] or other[1] >= one[1] + one[3]
    return not is_beside and not is_above


def _crosses(line: Line, box: Box) -> bool:
    """Return whether any of a line lies within a box, which it may touch."""
    (x0, y0), (x1, y1) = line
    left, top, width, height = box
    first, last = 0.0, 1.0
    # Liang and Barsky 1984: the part of the line that is within both pairs of edges.
    for start, step, low, high in ((x0, x1 - x0, left, left + width), (y0, y1 - y0, top, top + height)):
        if abs(step) < 1e-9:
            if not low < start < high:
                return False
            continue
        enters, leaves = sorted(((low - start) / step, (high - start) / step))
        first, last = max(first, enters), min(last, leaves)
    return last - first > 1e-9


def _cross(one: Line, other: Line) -> bool:
    return _is_between(one, other) and _is_between(other, one)


def _is_between(line: Line, ends: Line) -> bool:
    """Return whether two ends lie on different sides of an endless line."""
    (x0, y0), (x1, y1) = line
    sides = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in ends]
    return all(one * other <= 0 for one, other in pairwise(sides))
