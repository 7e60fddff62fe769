"""Draw the picture of docs/explanation/architecture.md from the code: python docs/generate_architecture.py.

The picture is written as SVG text, so that it has the same bytes wherever it is drawn: a test compares them.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from math import prod
from pathlib import Path
from xml.sax.saxutils import escape

from package_imports import NAME, ROOT, imported_modules, lines_of_rooms, package_imports, package_of, source_files

PICTURE = Path(__file__).parent / "images" / "architecture.svg"
WIDTH, GUTTER, MARGIN = 154, 30, 22  # of a package, between two, outside
HEADER, NAME_LINE = 33, 21
LONGEST_NAME = 13  # letters in a line
PIXELS_PER_LINE = 0.029
# The height of a room's name.
SMALLEST_ROOM = 19
LANE = 8  # between two lines side by side
MOST_TRIED = 2000  # orders of packages
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
STYLE = f"""
    svg {{ --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --edge: #8c959f; --arrow: #59636e;
          --heavy: #cfe3fb; --light: #f8e3b0; font-family: {FONT}; }}
    @media (prefers-color-scheme: dark) {{
      svg {{ --paper: #0d1117; --ink: #f0f6fc; --soft: #b1bac4; --edge: #6e7681; --arrow: #9198a1;
            --heavy: #16365c; --light: #4d3a08; }}
    }}
    .paper {{ fill: var(--paper); }}
    .package {{ fill: var(--paper); stroke: var(--edge); stroke-width: 1.5; }}
    .heavy {{ fill: var(--heavy); }}
    .light {{ fill: var(--light); }}
    .wall {{ stroke: var(--edge); }}
    .name {{ fill: var(--ink); font-size: 19px; font-weight: 600; }}
    .room {{ fill: var(--ink); font-size: 15px; }}
    .lines {{ fill: var(--soft); font-size: 15px; }}
    .arrow {{ fill: none; stroke: var(--arrow); stroke-width: 1.5; }}
    .head {{ fill: var(--arrow); }}
"""


@dataclass(kw_only=True)
class Package:
    """A package in the picture.

    Args:
        name: as in ``package_imports``.
        floor: 0 for those that no other package imports, one more than the lowest importer's for the others.
        rooms: lines of the folders in it by name, rounded; those of its own files are in none.
        n_lines: all of its lines, rounded.
        is_heavy: whether a file of it imports torch or nnunetv2.
        column: from the left, 0 is the first.
        top: of its box in pixels.
    """

    name: str
    floor: int
    rooms: Mapping[str, int]
    n_lines: int
    is_heavy: bool
    column: int = 0
    top: int = 0

    @property
    def left(self) -> int:
        """The left edge of its box, in pixels."""
        return MARGIN + self.column * (WIDTH + GUTTER)

    @property
    def middle(self) -> int:
        """The middle of its box, in pixels from the left."""
        return self.left + WIDTH // 2

    @property
    def name_lines(self) -> list[str]:
        """The name; a long one takes two lines."""
        if len(self.name) <= LONGEST_NAME:
            return [self.name]
        first, underscore, second = self.name.partition("_")
        if second:
            return [first + underscore, second]
        cut = len(self.name) // 2 + 1
        return [f"{self.name[:cut]}-", self.name[cut:]]

    @property
    def header(self) -> int:
        """Height of what stands above the lines, in pixels."""
        return HEADER + NAME_LINE * len(self.name_lines)

    @property
    def bottom(self) -> int:
        """The bottom of its box, in pixels."""
        # Rounded rooms may have more lines together than the rounded package.
        rooms = sum(map(room_height, self.rooms.values()))
        return self.top + self.header + max(rooms, round(self.n_lines * PIXELS_PER_LINE))


def room_height(n_lines: int) -> int:
    """Return the height of a room in pixels: of its lines, or of its name."""
    return max(SMALLEST_ROOM, round(n_lines * PIXELS_PER_LINE))


def rounded(n_lines: int) -> int:
    """Return a number of lines that small changes of the code leave alone."""
    step = 100 if n_lines < 1000 else 500
    return max(step, step * round(n_lines / step))


def direct_imports(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports that are not reached on a longer way, by package.

    Args:
        imports: without circles.
    """

    def reached(package: str) -> set[str]:
        return imports[package].union(*(reached(one) for one in imports[package]))

    return {
        package: {one for one in imported if not any(one in reached(other) for other in imported - {one})}
        for package, imported in imports.items()
    }


def floors(imports: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the floor of every package, counted from the top: one below its lowest importer."""

    def floor(package: str) -> int:
        return max((floor(other) + 1 for other, imported in imports.items() if package in imported), default=0)

    return {package: floor(package) for package in imports}


def read_packages() -> tuple[list[Package], dict[str, set[str]]]:
    """Return the packages of the house that are folders, and which imports the picture shows."""
    all_imports = package_imports()
    folders = {name for name in all_imports if (ROOT / NAME / name).is_dir() or (ROOT / name).is_dir()} - {NAME}
    imports = {name: all_imports[name] & folders for name in sorted(folders)}
    heavy = {
        package_of(file)
        for file in source_files()
        if {module.partition(".")[0] for module in imported_modules(file)} & {"torch", "nnunetv2"}
    }
    lines = lines_of_rooms()
    packages = []
    for name, floor in floors(imports).items():
        own = {room: n for room, n in lines.items() if room.partition("/")[0] == name}
        rooms = {room.partition("/")[2]: rounded(n) for room, n in own.items() if room != name}
        n_lines = rounded(sum(own.values()))
        packages.append(Package(name=name, floor=floor, rooms=rooms, n_lines=n_lines, is_heavy=name in heavy))
    return packages, direct_imports(imports)


def place(packages: Sequence[Package], imports: Mapping[str, set[str]]) -> None:
    """Put the packages of each floor into columns so that arrows are short."""
    by_name = {package.name: package for package in packages}
    arrows = [(by_name[source], by_name[target]) for source, targets in imports.items() for target in sorted(targets)]
    stories = [[p for p in packages if p.floor == floor] for floor in range(max(p.floor for p in packages) + 1)]
    n_columns = max(map(len, stories))
    orders = [list(permutations(range(n_columns), len(story))) for story in stories]

    def put(first: int, columns: Sequence[Sequence[int]]) -> int:
        for story, of_story in zip(stories[first:], columns, strict=False):
            for package, column in zip(story, of_story, strict=True):
                package.column = column
        return sum(abs(source.column - target.column) for source, target in arrows)

    shortest, length = None, put(0, [order[0] for order in orders])
    # Three floors at a time, if they are not too wide: a package often stands right only where the one below it does.
    while length != shortest:
        shortest = length
        for first in range(len(stories)):
            together = [orders[first : first + n] for n in (1, 2, 3)]
            tried = [window for window in together if prod(map(len, window)) <= MOST_TRIED] or together[:1]
            length, best = min((put(first, columns), columns) for columns in product(*tried[-1]))
            put(first, best)


@dataclass(kw_only=True)
class Trunk:
    """The line on which the arrows to one package come together.

    Args:
        target: the package.
        ports: where the arrow of every package that imports it leaves that one's box, in pixels from the left.
        gutter: x of the way down past floors between them, in pixels; None without any.
        lanes: place of its horizontal part below every floor that has one, from the top.
    """

    target: Package
    ports: list[tuple[Package, int]]
    gutter: int | None = None
    lanes: dict[int, int] = field(default_factory=dict)

    @property
    def last_floor(self) -> int:
        """The floor above the target."""
        return self.target.floor - 1

    @property
    def is_long(self) -> bool:
        """Whether it passes floors."""
        return any(source.floor < self.last_floor for source, _ in self.ports)

    def span(self, floor: int) -> tuple[int, int] | None:
        """Return where its horizontal part below a floor begins and ends, in pixels; None if it has none there."""
        xs = [x for source, x in self.ports if source.floor == floor]
        if self.gutter is not None and (xs or floor == self.last_floor):
            xs.append(self.gutter)
        if floor == self.last_floor:
            xs.append(self.target.middle)
        return (min(xs), max(xs)) if xs else None


def trunks_of(packages: Sequence[Package], imports: Mapping[str, set[str]]) -> list[Trunk]:
    """Return the trunk of every package that another one imports, with its gutter and its lanes."""
    by_name = {package.name: package for package in packages}
    trunks = {package.name: Trunk(target=package, ports=[]) for package in packages}
    for source in packages:
        targets = sorted((by_name[name] for name in imports[source.name]), key=lambda one: (one.middle, one.floor))
        for number, target in enumerate(targets, start=1):
            x = source.left + WIDTH * number // (len(targets) + 1)
            is_straight = target.middle == source.middle and target.floor == source.floor + 1
            if is_straight and abs(x - source.middle) < 3 * LANE:
                x = source.middle
            elif abs(x - source.middle) < LANE:
                # Straight below the middle of a box is the arrow into the next one.
                x = source.middle + (LANE if target.middle >= source.middle else -LANE)
            trunks[target.name].ports.append((source, x))
    used = [trunk for trunk in trunks.values() if trunk.ports]
    _choose_gutters([trunk for trunk in used if trunk.is_long], n_columns=max(p.column for p in packages) + 1)
    for floor in range(max(package.floor for package in packages)):
        _choose_lanes([trunk for trunk in used if trunk.span(floor)], floor)
    return used


def _choose_gutters(trunks: Sequence[Trunk], *, n_columns: int) -> None:
    """Let each trunk go down in the closest gutter that has room."""
    right = MARGIN + n_columns * (WIDTH + GUTTER) - GUTTER
    inner = [MARGIN + column * (WIDTH + GUTTER) - GUTTER // 2 for column in range(1, n_columns)]
    rooms = {MARGIN // 2: MARGIN, **dict.fromkeys(inner, GUTTER), right + MARGIN // 2: MARGIN}
    chosen: dict[int, list[Trunk]] = {}
    for trunk in trunks:
        xs = [x for source, x in trunk.ports if source.floor < trunk.last_floor] + [trunk.target.middle]
        free = [middle for middle, room in rooms.items() if (len(chosen.get(middle, ())) + 1) * LANE < room]
        gutter = min(free or rooms, key=lambda middle: (sum(abs(x - middle) for x in xs), middle))
        chosen.setdefault(gutter, []).append(trunk)
    for middle, sharing in chosen.items():
        for number, trunk in enumerate(sharing):
            trunk.gutter = round(middle + LANE * (number - (len(sharing) - 1) / 2))


def _choose_lanes(trunks: Sequence[Trunk], floor: int) -> None:
    """Put trunks that do not meet into the same lane."""
    ends: list[list[tuple[int, int]]] = []
    for trunk in sorted(trunks, key=lambda one: (one.span(floor), one.target.name)):
        start, end = trunk.span(floor) or (0, 0)
        free = (i for i, lane in enumerate(ends) if all(end < a - LANE or start > b + LANE for a, b in lane))
        lane = next(free, len(ends))
        if lane == len(ends):
            ends.append([])
        ends[lane].append((start, end))
        trunk.lanes[floor] = lane


class Picture:
    """The house with the places of everything.

    Args:
        packages: in their columns.
        trunks: with their lanes.
    """

    def __init__(self, packages: Sequence[Package], trunks: Sequence[Trunk]) -> None:
        self.packages = packages
        self.trunks = trunks
        self.first_lane: dict[int, int] = {}
        y = MARGIN
        for floor in range(max(package.floor for package in packages) + 1):
            story = [package for package in packages if package.floor == floor]
            for package in story:
                package.top = y
            y = max(package.bottom for package in story)
            n_lanes = max((trunk.lanes[floor] + 1 for trunk in trunks if floor in trunk.lanes), default=0)
            self.first_lane[floor] = y + 14
            y += 28 + LANE * n_lanes
        self.height = max(package.bottom for package in packages) + MARGIN
        n_columns = max(package.column for package in packages) + 1
        self.width = 2 * MARGIN + n_columns * (WIDTH + GUTTER) - GUTTER

    def svg(self) -> str:
        """Return the text of the file."""
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
            '  <title id="title">The packages of nnunet-mamba on their floors, and which imports which</title>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="paper" width="{self.width}" height="{self.height}" rx="8"/>',
            *(line for trunk in self.trunks for line in self._arrow(trunk)),
            *(line for package in self.packages for line in self._box(package)),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def segments(self, trunk: Trunk) -> list[tuple[int, int, int, int]]:
        """Return the straight parts of a trunk as x, y, x, y, from left to right or from the top."""
        lane_y = {floor: self.first_lane[floor] + LANE * lane for floor, lane in trunk.lanes.items()}
        segments = [(x, source.bottom, x, lane_y[source.floor]) for source, x in trunk.ports]
        for floor, y in lane_y.items():
            start, end = trunk.span(floor) or (0, 0)
            if start < end:
                segments.append((start, y, end, y))
        if trunk.gutter is not None:
            segments.append((trunk.gutter, min(lane_y.values()), trunk.gutter, lane_y[trunk.last_floor]))
        target = trunk.target
        segments.append((target.middle, lane_y[trunk.last_floor], target.middle, target.top - 6))
        return segments

    def _arrow(self, trunk: Trunk) -> Iterator[str]:
        segments = self.segments(trunk)
        path = " ".join(f"M{a} {b}V{d}" if a == c else f"M{a} {b}H{c}" for a, b, c, d in segments)
        x, y = trunk.target.middle, trunk.target.top
        yield f'  <path class="arrow" d="{path}"/>'
        yield f'  <path class="head" d="M{x - 5} {y - 9}h10l-5 9z"/>'
        # Arrows join at a dot and cross without one.
        for x, y in sorted({(a, b) for a, b, _, _ in segments} | {(c, d) for _, _, c, d in segments}):
            if sum(_n_ways(segment, x, y) for segment in segments) > 2:
                yield f'  <circle class="head" cx="{x}" cy="{y}" r="3"/>'

    def _box(self, package: Package) -> Iterator[str]:
        left, body = package.left, package.top + package.header
        height = package.bottom - body
        frame = f'x="{left}" y="{package.top}" width="{WIDTH}" height="{package.bottom - package.top}"'
        yield f'  <rect class="package" {frame}/>'
        kind = "heavy" if package.is_heavy else "light"
        yield f'  <rect class="{kind}" x="{left + 1}" y="{body}" width="{WIDTH - 2}" height="{height - 1}"/>'
        y = package.top + 22
        for line in package.name_lines:
            yield _text("name", package.middle, y, line)
            y += NAME_LINE
        yield _text("lines", package.middle, y, f"{package.n_lines:,} lines".replace(",", " "))
        for room, n_lines in sorted(package.rooms.items()):
            yield _text("room", package.middle, body + room_height(n_lines) // 2 + 5, room)
            body += room_height(n_lines)
            if body < package.bottom - 2:
                yield f'  <path class="wall" d="M{left} {body}h{WIDTH}"/>'


def _n_ways(segment: tuple[int, int, int, int], x: int, y: int) -> int:
    """Return in how many directions a segment leaves a point: 0 if it is not there, 1 if it ends there."""
    a, b, c, d = segment
    if (a, b) == (c, d) or not (a <= x <= c and b <= y <= d):
        return 0
    return 1 if (x, y) in ((a, b), (c, d)) else 2


def _text(kind: str, x: int, y: int, words: str) -> str:
    return f'  <text class="{kind}" x="{x}" y="{y}" text-anchor="middle">{escape(words)}</text>'


def architecture_svg() -> str:
    """Return the picture of the house as it stands."""
    packages, imports = read_packages()
    place(packages, imports)
    return Picture(packages, trunks_of(packages, imports)).svg()


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=PICTURE, help="file for it")
    parser.parse_args().output.write_text(architecture_svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
