"""The boundary of a mask as elements: one at each corner where 2^d neighbouring positions are not all alike.

An element is the part of the boundary between these positions that marching squares and cubes draw, with its corners
half-way between a position inside and one outside. Distances between boundaries weigh elements by their size, so that
neither the grid nor the spacing decides how much a piece of boundary counts.

Sizes are equal to the tables of DeepMind's ``surface-distance`` (Nikolov et al. 2021, doi:10.2196/26151;
github.com/google-deepmind/surface-distance), at every spacing. Here they follow from three shapes: positions on the
side that holds fewer of them form groups of neighbours, and each group is cut off by corners, edges and faces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Position = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """The elements of a mask's boundary.

    Args:
        is_element: whether a corner of the grid has one, (*spatial + 1); corner i lies in front of position i.
        indices: of the elements in ``is_element``, flattened, (n,).
        points: their places in mm from the first corner, (n, d).
        sizes: length or area of each, mm or mm², (n,).
    """

    is_element: Mask
    indices: npt.NDArray[np.intp]
    points: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]


def find_boundary(mask: Mask, spacing: Sequence[float]) -> Boundary:
    """Find the elements of a mask's boundary. The edge of the image closes what touches it.

    Args:
        mask: (y, x) or (z, y, x).
        spacing: mm along each axis, > 0.
    """
    # Bit o0 + 2 * o1 + 4 * o2 of a code is the position at the offset (o0, o1, o2).
    codes = np.pad(mask, 1).astype(np.uint8)
    for axis in range(mask.ndim):
        before = (slice(None),) * axis
        first, second = codes[before + np.s_[:-1,]], codes[before + np.s_[1:,]]
        codes = first | second << np.uint8(2**axis)
    everywhere = 2 ** (2**mask.ndim) - 1
    is_element = (codes != 0) & (codes != everywhere)
    indices = np.flatnonzero(is_element)
    places = np.unravel_index(indices, codes.shape)
    points = np.stack([along * step for along, step in zip(places, spacing, strict=True)], axis=-1, dtype=np.float64)
    sizes = element_sizes(tuple(map(float, spacing)))[codes.ravel()[indices]]
    return Boundary(is_element=is_element, indices=indices, points=points, sizes=sizes)


@lru_cache(maxsize=64)
def element_sizes(spacing: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return the size of the element for each code: bit o0 + 2 * o1 + 4 * o2 is set where that neighbour is inside.

    Args:
        spacing: mm along each axis, two or three.

    Returns:
        mm or mm², (16,) or (256,).
    """
    positions = [offset[::-1] for offset in product((0, 1), repeat=len(spacing))]
    sizes = np.zeros(2 ** len(positions))
    for code in range(len(sizes)):
        inside = {position for bit, position in enumerate(positions) if code >> bit & 1}
        fewer = inside if 2 * len(inside) <= len(positions) else set(positions) - inside
        sizes[code] = sum(_size_around(group, spacing) for group in _groups(fewer))
    sizes.setflags(write=False)
    return sizes


def _groups(positions: set[Position]) -> list[set[Position]]:
    """Return the parts of some positions that are connected along edges of the cube."""
    groups: list[set[Position]] = []
    for position in sorted(positions):
        touching = [group for group in groups if any(_are_neighbours(position, other) for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append({position}.union(*touching))
    return groups


def _are_neighbours(one: Position, other: Position) -> bool:
    return sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _size_around(group: set[Position], spacing: Sequence[float]) -> float:
    """Return the size of the element that cuts a group of at most half of the positions off."""
    faces: list[float] = [math.prod(spacing) / step for step in spacing]  # of a pixel or voxel, by the axis they face
    corner = math.hypot(*faces) / (8 if len(spacing) == 3 else 2)
    n_neighbours = {one: sum(_are_neighbours(one, other) for other in group) for one in group}
    extent = [axis for axis in range(len(spacing)) if len({position[axis] for position in group}) > 1]
    flat = [axis for axis in range(len(spacing)) if axis not in extent]
    if len(group) == 1:
        return corner
    if len(group) == 2:
        return _edge(extent[0], faces)
    if len(group) == 3:
        # A triangle above three of a face's four positions, and half a hexagon down to the fourth.
        return faces[flat[0]] / 2 + 3 * corner
    if flat:
        return faces[flat[0]]
    if 3 in n_neighbours.values():
        # A hexagon around the diagonal of the cube.
        return 6 * corner
    # A chain along all three axes: a saddle of two triangles that halve rectangles along its ends, and two others.
    first, second = (one for one in sorted(group) if n_neighbours[one] == 2)
    ends = [axis for axis in extent if first[axis] == second[axis]]
    return sum(_edge(axis, faces) for axis in ends) / 2 + 4 * corner


def _edge(axis: int, faces: Sequence[float]) -> float:
    """Return the size of the element along two neighbours: a side in 2D, a slanted rectangle in 3D."""
    others = [face for other, face in enumerate(faces) if other != axis]
    return others[0] if len(others) == 1 else math.hypot(*others) / 2
