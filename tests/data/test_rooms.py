"""The rooms of data/, and which of them may use which: what stands lower knows nothing of what stands above it."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nnunet_mamba

PACKAGE = Path(nnunet_mamba.__file__).parent
ROOT = "root"  # cases.py and problems.py
# Room to the rooms that its files may import from, besides system/, which stands below all.
ARROWS = {
    ROOT: set(),
    "formats": {ROOT},
    "sources": {ROOT, "formats"},
    "splits": {ROOT},
    "writing": {ROOT, "sources", "splits"},
    "converters": {ROOT, "formats", "sources", "splits", "writing"},
    "restoring": {ROOT, "formats", "writing"},
}
FILES = sorted(file for folder in ("data", "system") for file in (PACKAGE / folder).rglob("*.py"))


def imported(file: Path) -> Iterator[Path]:
    """Yield the files of the package that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            found = PACKAGE.parent / (name.replace(".", "/") + ".py")
            if found.is_relative_to(PACKAGE) and found.is_file():
                yield found


def room_of(file: Path) -> str:
    """Return the room of a file of data/, "system", or the other package that it is in."""
    first, *rest = file.relative_to(PACKAGE).parts
    if first != "data":
        return first
    return rest[0] if len(rest) > 1 else ROOT


def test_the_rooms_are_those_of_the_table():
    folders = {path.parent.name for path in (PACKAGE / "data").glob("*/__init__.py")}
    assert folders | {ROOT} == ARROWS.keys()


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_uses_those_below_it_alone(room):
    files = [file for file in FILES if room_of(file) == room]
    assert files
    wrong = {
        f"{file.name} imports {found.relative_to(PACKAGE)}"
        for file in files
        for found in imported(file)
        if room_of(found) not in {room, "system"} | ARROWS[room]
    }
    assert wrong == set()


def test_there_are_few_arrows_and_no_circle_between_rooms():
    assert sum(map(len, ARROWS.values())) <= 15
    TopologicalSorter(ARROWS).prepare()


def test_there_is_no_circle_between_files():
    TopologicalSorter({file: set(imported(file)) for file in FILES}).prepare()


def test_what_is_nobodys_domain_uses_nothing_else():
    assert {room_of(found) for file in FILES if room_of(file) == "system" for found in imported(file)} == {"system"}
