"""Where names fit beside points without covering anything."""

from collections.abc import Sequence
from typing import TypeAlias

# Left, top, width and height; rows count downwards.
Box: TypeAlias = tuple[float, float, float, float]


def free_place(
    point: tuple[float, float], size: tuple[float, float], taken: Sequence[Box], *, area: Box, gap: float
) -> Box | None:
    """Return a place for a name beside a point, None where none is free.

    Args:
        point: x and y of its centre.
        size: width and height of the name.
        taken: by points and other names.
        area: where names may lie.
        gap: between the centre of the point and the name.
    """
    x, y = point
    width, height = size
    beside = (x + gap, x - gap - width)
    above, middle, below = y - gap - height, y - height / 2, y + gap
    centred = x - width / 2
    places = [(left, middle) for left in beside] + [(centred, above), (centred, below)]
    places += [(left, top) for left in beside for top in (above, below)]
    for left, top in places:
        box = (left, top, width, height)
        if _is_within(box, area) and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _is_within(box: Box, area: Box) -> bool:
    left, top, width, height = box
    return (
        left >= area[0] and top >= area[1] and left + width <= area[0] + area[2] and top + height <= area[1] + area[3]
    )


def _overlap(one: Box, other: Box) -> bool:
    is_beside = one[0] >= other[0] + other[2] or other[0] >= one[0] + one[2]
    is_above = one[1] >= other[1] + other[3] or other[1] >= one[1] + one[3]
    return not is_beside and not is_above
