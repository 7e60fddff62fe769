"""The house has floors: a module imports from its own floor or from below, and some floors carry no torch."""

import ast
from pathlib import Path

import pytest

import nnunet_mamba

PACKAGE = Path(nnunet_mamba.__file__).parent
FLOORS = ("ops", "blocks", "networks", "training", "planning", "crossval", "trainers", "cli")
FLOORS_OF_RESULTS = ("system", "results", "evaluation", "report", "demo", "cli")
FLOORS_OF_DATA = ("system", "data", "evaluation", "report", "demo", "cli")
FLOORS_OF_TRAINING = ("system", "results", "training", "planning", "crossval", "cli")
LADDERS = [
    (floor, ladder[place + 1 :])
    for ladder in (FLOORS, FLOORS_OF_RESULTS, FLOORS_OF_DATA, FLOORS_OF_TRAINING)
    for place, floor in enumerate(ladder)
]
WITHOUT = {
    "data": {"torch", "nnunetv2"},
    "report": {"torch", "nnunetv2"},
    "results": {"torch", "nnunetv2", "numpy"},
    "presets": {"torch", "nnunetv2", "numpy"},
    "system": {"torch", "nnunetv2", "numpy"},
    "bundled.py": {"torch", "nnunetv2", "numpy", "pathlib"},
    "_startup.py": {"torch", "nnunetv2", "numpy", "pathlib"},
}


def imported_modules(file: Path, *, top_level_only: bool = False) -> set[str]:
    """The dotted names a file imports, anywhere in it or at module level alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _files(place: str) -> list[Path]:
    path = PACKAGE.parent / "trainers" if place == "trainers" else PACKAGE / place
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert files, f"{place} holds no Python files"
    return files


@pytest.mark.parametrize(("floor", "above"), LADDERS)
def test_no_floor_imports_from_above(floor, above):
    for file in _files(floor):
        for module in imported_modules(file):
            parts = module.split(".")
            inside = parts[1] if parts[0] == "nnunet_mamba" and len(parts) > 1 else parts[0]
            assert inside not in above, f"{file.name} ({floor}) imports {module}"


@pytest.mark.parametrize(("place", "forbidden"), WITHOUT.items())
def test_light_places_stay_light(place, forbidden):
    for file in _files(place):
        heavy = {module.split(".")[0] for module in imported_modules(file)} & forbidden
        assert not heavy, f"{file} imports {heavy}"


def test_commands_import_what_is_heavy_when_they_run():
    for file in _files("cli"):
        roots = {module.split(".")[0] for module in imported_modules(file, top_level_only=True)}
        heavy = roots & {"torch", "numpy", "pandas", "PIL", "matplotlib", "nnunetv2", "rich", "jinja2", "tqdm"}
        assert not heavy, f"{file.name} imports {heavy} at its top"


@pytest.mark.parametrize("place", ["crossval", "evaluation"])
def test_what_calls_nnunet_imports_it_when_it_runs(place):
    for file in _files(place):
        roots = {module.split(".")[0] for module in imported_modules(file, top_level_only=True)}
        assert not roots & {"torch", "nnunetv2", "submitit"}, file
