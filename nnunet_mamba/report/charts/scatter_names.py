"""The names of a scatter: beside their points, at the end of a line, or as a number with the name below the chart."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from nnunet_mamba.report.charts.label_places import N_RINGS, Crossing, LabelSpace, Place, Reach, Spot, beside
from nnunet_mamba.report.charts.lettering import in_two_lines, shortened, text_width
from nnunet_mamba.report.charts.scatter_points import Point

# Signs of a name, and ems of one that is written in one line.
_LONGEST_NAME, _LINE_WIDTH = 58, 14.0
# So many rows by others are a cloud, whose names stand in the table.
CLOUD = 20
_RINGS_OF_CLOUD = 2


@dataclass(frozen=True, kw_only=True)
class WrittenName:
    """What is written near a point.

    Args:
        point: that it belongs to.
        lines: of the text: the name, or a number.
        place: where.
    """

    point: Point
    lines: Sequence[str]
    place: Place


@dataclass(frozen=True, kw_only=True)
class Names:
    """All names of a scatter.

    Args:
        written: near their points.
        numbered: names that only their numbers are written of, by index of the point, in the order 1, 2, ….
        n_unnamed: published points without a name, of a crowd that has no room for them.
        is_covering: whether a number covers something.
    """

    written: Sequence[WrittenName]
    numbered: dict[int, str]
    n_unnamed: int
    is_covering: bool = False

    @property
    def cost(self) -> tuple[bool, int, int, float]:
        """How far this is from all names beside their points."""
        leaders = [name.place.leader for name in self.written if name.place.leader is not None]
        length = sum(math.dist(*leader) for leader in leaders)
        return self.is_covering, len(self.numbered), self.n_unnamed, length


@dataclass(frozen=True, kw_only=True)
class Lettering:
    """How names are written, in units of the picture.

    Args:
        size: of the font.
        line: height of a line.
        gap: between the centre of a point and its name.
    """

    size: float
    line: float
    gap: float


def place_names(
    points: Sequence[Point],
    empty_space: Callable[[], LabelSpace],
    lettering: Lettering,
    *,
    at: Callable[[Point], Spot],
    numbered: Collection[int] = (),
) -> Names:
    """Find places; each name of one's own networks gets one.

    Args:
        points: all that are drawn.
        empty_space: makes a plane in which points and bars are taken, and no name.
        lettering: of the names.
        at: gives the place of a point.
        numbered: indices of points that get a number whatever room there is.
    """
    tried = [
        _Writer(points, empty_space(), lettering, at).names(numbered, key)
        # Which name finds its place first decides for the others; none of these orders is always the best.
        for key in (lambda point: -point.y, lambda point: point.x, lambda point: -point.x, lambda point: point.y)
    ]
    best = min(tried, key=lambda names: names.cost)
    if not best.is_covering:
        return best
    # Long names have left no room for numbers; numbers alone need less.
    return _Writer(points, empty_space(), lettering, at).names(range(len(points)), lambda point: -point.y)


class _Writer:
    def __init__(
        self, points: Sequence[Point], space: LabelSpace, lettering: Lettering, at: Callable[[Point], Spot]
    ) -> None:
        self._points, self._space, self._lettering, self._at = points, space, lettering, at
        self._is_covering = False

    def names(self, numbered: Collection[int], key: Callable[[Point], float]) -> Names:
        """Write all names, those of one's own networks first, and each kind in the order of a key."""
        is_cloud = sum(point.is_published for point in self._points) >= CLOUD
        written, unplaced = [], []
        n_unnamed = 0
        order = sorted(enumerate(self._points), key=lambda each: (each[1].is_published, key(each[1])))
        for index, point in order:
            is_of_cloud = is_cloud and point.is_published
            lines = self._lines(point.name)
            place = None
            if is_of_cloud:
                place = self._place(point, lines, _RINGS_OF_CLOUD, Crossing.NOTHING)
            elif index not in numbered:
                place = self._place(point, lines, N_RINGS, Crossing.BARS)
            if place is not None:
                written.append(WrittenName(point=point, lines=lines, place=place))
            elif is_of_cloud:
                n_unnamed += 1
            else:
                unplaced.append(index)
        written += [self._numbered(self._points[index], number) for number, index in enumerate(unplaced, 1)]
        return Names(
            written=written,
            numbered={index: self._points[index].name for index in unplaced},
            n_unnamed=n_unnamed,
            is_covering=self._is_covering,
        )

    def _lines(self, name: str) -> list[str]:
        size = self._lettering.size
        return in_two_lines(shortened(name, _LONGEST_NAME), width=_LINE_WIDTH * size, size=size)

    def _numbered(self, point: Point, number: int) -> WrittenName:
        lines = [str(number)]
        place = self._place(point, lines, N_RINGS, Crossing.NAMES_TOO)
        if place is None:
            # It covers something rather than being lost.
            self._is_covering = True
            place = beside(self._at(point), self._size(lines), gap=self._lettering.gap)[0]
        return WrittenName(point=point, lines=lines, place=place)

    def _place(self, point: Point, lines: Sequence[str], n_rings: int, most: Crossing) -> Place | None:
        reach = Reach(line=self._lettering.line, n_rings=n_rings)
        for crossing in Crossing:
            if crossing <= most:
                found = self._space.place(
                    self._at(point), self._size(lines), gap=self._lettering.gap, reach=reach, crossing=crossing
                )
                if found is not None:
                    return found
        return None

    def _size(self, lines: Sequence[str]) -> Spot:
        size = self._lettering.size
        return max(text_width(line, size) for line in lines), self._lettering.line * len(lines)
