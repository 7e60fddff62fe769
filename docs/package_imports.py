"""Which package of the house imports which, as the source files say.

A package is a folder of ``nnunet_mamba``, such as "data", or a single module beside these folders, such as "bundled".
The folders "trainers" and "dataset_conversion" are two more. A room is a folder in a package, such as "data/sources".
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "nnunet_mamba"
BESIDE = ("dataset_conversion", "trainers")


def source_files() -> list[Path]:
    """Return all Python files of the house."""
    return [file for folder in (NAME, *BESIDE) for file in sorted((ROOT / folder).rglob("*.py"))]


def package_of(path: Path) -> str:
    """Return the package that a file or folder of the house belongs to.

    Args:
        path: below ``ROOT``.
    """
    top, *inner = path.relative_to(ROOT).parts
    if top != NAME:
        return top
    return inner[0].removesuffix(".py") if inner and inner[0] != "__init__.py" else NAME


def room_of(path: Path) -> str:
    """Return the room that a file or folder of the house belongs to, the package where it is in none of its rooms.

    Args:
        path: below ``ROOT``.
    """
    _, *inner = path.relative_to(ROOT).parts
    package = package_of(path)
    is_in_room = len(inner) > 1 and (ROOT / NAME / package / inner[1]).is_dir()
    return f"{package}/{inner[1]}" if is_in_room else package


@cache
def imported_modules(file: Path, *, top_level_only: bool = False) -> frozenset[str]:
    """Return the dotted names that a file imports, anywhere in it or at module level alone.

    What comes out of a module has the module's name before its own: "json.loads" for ``from json import loads``.

    Raises:
        ValueError: the file has a relative import.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{file}:{node.lineno}: relative import")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def imported_paths(file: Path) -> Iterator[Path]:
    """Yield the files and folders of the house that a file imports; importing ``__version__`` counts for none."""
    for name in imported_modules(file):
        top, *inner = name.split(".")
        if top not in (NAME, *BESIDE) or inner == ["__version__"]:
            continue
        path = ROOT / top
        for part in inner:
            if (path / f"{part}.py").is_file():
                path = path / f"{part}.py"
            elif (path / part).is_dir():
                path = path / part
        yield path


def package_imports() -> dict[str, set[str]]:
    """Return for every package the other packages that it imports."""
    found: dict[str, set[str]] = {}
    for file in source_files():
        package = package_of(file)
        imported = {package_of(path) for path in imported_paths(file)}
        found.setdefault(package, set()).update(imported - {package})
    return found


def room_imports(package: str) -> dict[str, set[str]]:
    """Return for every room of a package the other rooms of it that it imports.

    Args:
        package: its files outside of rooms are a room too, of its own name.
    """
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / NAME / package).rglob("*.py")):
        room = room_of(file)
        imported = {room_of(path) for path in imported_paths(file) if package_of(path) == package}
        found.setdefault(room, set()).update(imported - {room})
    return found


def lines_of_rooms() -> dict[str, int]:
    """Return for every room the lines of its Python files."""
    found: dict[str, int] = {}
    for file in source_files():
        room = room_of(file)
        found[room] = found.get(room, 0) + len(file.read_text(encoding="utf-8").splitlines())
    return found
