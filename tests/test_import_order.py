"""The house has floors: each package imports what its row allows, all of it from below, and some carry no torch."""

import importlib
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

import nnunet_mamba

PACKAGE = Path(nnunet_mamba.__file__).parent
ROOT = PACKAGE.parent

# From the top floor to the ground: what each package may import, all of it in rows below its own.
HOUSE = {
    "__main__": "cli",
    "nnunet_mamba": "networks prediction",
    "dataset_conversion": "cli data",
    "cli": (
        "bundled classification comparison crossval data demo doctor evaluation export external_tests models networks "
        "onnx_models ops planning prediction presets published_results report reproduction results system web"
    ),
    "web": "models system",
    "demo": "bundled data evaluation models report results system trainer_name",
    "doctor": "_startup bundled ops presets system",
    "reproduction": (
        "comparison crossval data evaluation external_tests models networks planning prediction presets "
        "published_results report results system trainer_name training"
    ),
    "report": "comparison data evaluation overlays published_results results system trainer_name",
    "crossval": "data results system trainer_name training",
    "classification": "data networks presets system training",
    "external_tests": "comparison data evaluation models prediction results system trainer_name",
    "export": "models networks onnx_models ops prediction system",
    "comparison": "data evaluation prediction results system",
    "prediction": "data measurements models networks onnx_models overlays results system",
    "measurements": "system",
    "overlays": "system",
    "evaluation": "data results system",
    "trainers": "presets training",
    "planning": "bundled networks ops presets system training",
    "training": "bundled data models networks ops presets results system trainer_name",
    "models": "data networks onnx_models presets results system trainer_name",
    "onnx_models": "system",
    "networks": "blocks ops presets system",
    "blocks": "ops",
    "ops": "system",
    "data": "system",
    "results": "system",
    "trainer_name": "bundled presets",
    "presets": "",
    "published_results": "",
    "_startup": "bundled",
    "bundled": "",
    "system": "",
}
# The rooms of a package, in the same way. What lies outside of them has the package's name.
ROOMS = {
    "data": {
        "data/unlabelled": "data data/converters data/formats data/restoring data/sources data/writing",
        "data/restoring": "data data/formats data/writing",
        "data/converters": "data data/formats data/sources data/splits data/writing",
        "data/writing": "data data/sources data/splits",
        "data/splits": "data",
        "data/sources": "data data/formats",
        "data/formats": "",
        "data": "",
    },
    "ops": {
        "ops/directions": "ops/cpu_kernels ops/scan",
        "ops/few_maps": "ops/cpu_kernels",
        "ops/mixer": "ops/cpu_kernels ops/scan",
        "ops/pooled_norm": "ops/cpu_kernels",
        "ops/scan": "ops/cpu_kernels",
        "ops/cpu_kernels": "",
    },
    "models": {"models/bundles": "models/nnunet", "models/nnunet": ""},
    "networks": {"networks/baselines": "networks", "networks/classifiers": "networks", "networks": ""},
    "blocks": {"blocks/baselines": "blocks", "blocks": ""},
    "evaluation": {"evaluation/distances": ""},
    "comparison": {"comparison/statistics": ""},
    "report": {"report/tables": "report/contents", "report/contents": "", "report/charts": ""},
    "reproduction": {"reproduction/experiments": ""},
    "training": {"training/distillation": "", "training/augmentation": "", "training/checkpoints": ""},
    "cli": {
        "cli/convert": "cli/options cli/output cli/run_reports",
        "cli/models": "cli/options cli/output",
        "cli/run_reports": "cli/options cli/output",
        "cli/output": "cli/options",
        "cli/options": "",
    },
}
# A limit agreed on: rooms that all import each other are none. The room on top joins both ways, so it sees nearly all.
MOST_ARROWS_IN_DATA = 20
# Files outside of the rooms that rooms import and that import rooms: what rooms share, and a front for all of them.
OPEN_PACKAGES = {"ops", "models", "training", "cli", "evaluation", "comparison", "report", "reproduction"}
# Rows for what is not built yet. Once it is, its name must go from here.
PLANNED: set[str] = set()
# Imports upwards that are still there, and must go from here with the last of them.
UPWARDS: set[tuple[str, str]] = set()

WITHOUT = {
    "data": {"torch", "nnunetv2"},
    "report": {"torch", "nnunetv2"},
    "measurements": {"torch", "nnunetv2"},
    "web": {"torch", "nnunetv2", "numpy"},
    "onnx_models": {"torch", "nnunetv2", "onnx"},
    "overlays": {"torch", "nnunetv2", "matplotlib"},
    "results": {"torch", "nnunetv2", "numpy"},
    "evaluation": {"torch"},
    "comparison": {"torch", "nnunetv2"},
    "external_tests": {"torch", "nnunetv2"},
    "doctor": {"nnunetv2"},
    "models": {"nnunetv2"},
    "presets": {"torch", "nnunetv2", "numpy"},
    "published_results": {"torch", "nnunetv2", "numpy"},
    "system": {"torch", "nnunetv2", "numpy"},
    "trainer_name": {"torch", "nnunetv2", "numpy"},
    "bundled": {"torch", "nnunetv2", "numpy", "pathlib"},
    "_startup": {"torch", "nnunetv2", "numpy", "pathlib"},
}
HEAVY = {"torch", "numpy", "pandas", "PIL", "matplotlib", "nnunetv2", "rich", "jinja2", "tqdm"}
TABLES = {"the house": HOUSE, **ROOMS}


@pytest.fixture(scope="module")
def source():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("package_imports")


@pytest.fixture(scope="module")
def found(source):
    """What imports what, in the house and in each package with rooms, without what the tables leave open."""
    rooms = {package: source.room_imports(package) for package in ROOMS}
    for package in OPEN_PACKAGES:
        rooms[package] = {room: names - {package} for room, names in rooms[package].items() if room != package}
    return {"the house": source.package_imports(), **rooms}


def _names(row):
    return set(row.split())


def _files(source, package):
    return [file for file in source.source_files() if source.package_of(file) == package]


def _file(path):
    """The file that is run when a file or a folder is imported."""
    return path / "__init__.py" if path.is_dir() else path


def _roots(modules):
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("table", TABLES)
def test_rows_name_only_rows_below_them(table):
    rows = list(TABLES[table])
    for place, package in enumerate(rows):
        assert _names(TABLES[table][package]) <= set(rows[place + 1 :]), package


@pytest.mark.parametrize("table", TABLES)
def test_every_package_has_a_row_and_every_row_a_package(found, table):
    assert found[table].keys() | (PLANNED & TABLES[table].keys()) == TABLES[table].keys()


def test_every_package_with_rooms_has_a_table_of_them(source):
    rooms = {source.room_of(file) for file in source.source_files()}
    assert {room.partition("/")[0] for room in rooms if "/" in room} == ROOMS.keys()


def test_what_is_built_is_not_planned(found):
    built = set(chain.from_iterable(found.values()))
    assert not built & PLANNED, "these are built: take them out of PLANNED"


@pytest.mark.parametrize("table", TABLES)
def test_no_package_imports_what_its_row_does_not_allow(found, table):
    allowed = {package: _names(row) for package, row in TABLES[table].items()}
    for below, above in UPWARDS:
        allowed.setdefault(below, set()).add(above)
    forbidden = {
        package: names
        for package, imported in found[table].items()
        if (names := imported - allowed.get(package, set()))
    }
    assert not forbidden


@pytest.mark.parametrize("table", TABLES)
def test_no_row_allows_what_nothing_uses(found, table):
    unused = {
        package: names
        for package, row in TABLES[table].items()
        if package not in PLANNED and (names := _names(row) - found[table].get(package, set()) - PLANNED)
    }
    assert not unused, "take these names out of their rows"


def test_the_rooms_of_data_have_few_arrows():
    assert sum(len(_names(row)) for row in ROOMS["data"].values()) <= MOST_ARROWS_IN_DATA


def test_there_is_no_circle_between_files(source):
    """Wherever an import stands, be it in a function."""
    TopologicalSorter({file: set(map(_file, source.imported_paths(file))) for file in source.source_files()}).prepare()


def test_every_import_upwards_that_is_excused_is_there(found):
    gone = {(below, above) for below, above in UPWARDS if above not in found["the house"][below]}
    assert not gone, "these are gone: take them out of UPWARDS"


@pytest.mark.parametrize("package", WITHOUT)
def test_light_packages_stay_light(source, package):
    files = _files(source, package)
    assert files or package in PLANNED
    for file in files:
        heavy = _roots(source.imported_modules(file)) & WITHOUT[package]
        assert not heavy, f"{file} imports {heavy}"


def test_commands_import_what_is_heavy_when_they_run(source):
    for file in _files(source, "cli"):
        heavy = _roots(source.imported_modules(file, top_level_only=True)) & HEAVY
        assert not heavy, f"{file.name} imports {heavy} at its top"


@pytest.mark.parametrize("package", ["crossval", "evaluation"])
def test_what_calls_nnunet_imports_it_when_it_runs(source, package):
    for file in _files(source, package):
        roots = _roots(source.imported_modules(file, top_level_only=True))
        assert not roots & {"torch", "nnunetv2", "submitit"}, file
