"""Inside ops: rooms import from below alone, no file imports itself in a circle, and no compiler loads with torch."""

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nnunet_mamba

PACKAGE = Path(nnunet_mamba.__file__).parent
OPS = PACKAGE / "ops"
# What each room may not import.
FORBIDDEN = {
    "cpu_kernels": ("scan", "mixer", "directions", "pooled_norm"),
    "scan": ("mixer", "directions", "pooled_norm"),
    "mixer": ("directions", "pooled_norm"),
    "directions": ("mixer", "pooled_norm"),
    "pooled_norm": ("scan", "mixer", "directions"),
}


def _module_of(file):
    name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


FILES = {_module_of(file): file for file in sorted(OPS.rglob("*.py"))}


def _imported(file):
    """The modules of ops that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            names.update(whole or {node.module})
    return names & FILES.keys()


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_from_below_alone(room):
    for file in (OPS / room).rglob("*.py"):
        rooms = {module.split(".")[2] for module in _imported(file) if module.count(".") > 1}
        assert not rooms & set(FORBIDDEN[room]), file


@pytest.mark.parametrize("room", ["mixer", "directions"])
def test_a_fused_operator_uses_the_scan_and_only_its_gpu_kernels_what_that_is_made_of(room):
    of_scan = {module for module in FILES if module.startswith("nnunet_mamba.ops.scan")}
    of_kernels = {module for module in of_scan if module.split(".")[-1].startswith(("triton_", "operands"))}
    for file in (OPS / room).rglob("*.py"):
        allowed = of_kernels if file.name.startswith("triton_") else {"nnunet_mamba.ops.scan.op"}
        assert _imported(file) & of_scan <= allowed, file


def test_no_imports_run_in_a_circle():
    TopologicalSorter({module: _imported(file) for module, file in FILES.items()}).prepare()


def test_no_folder_holds_more_than_24_files():
    counts = {folder: len(list(folder.glob("*.py"))) for folder in (OPS, *(OPS / room for room in FORBIDDEN))}
    assert max(counts.values()) <= 24, counts


def _loaded(code, *options, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "NNUNET_MAMBA", "XDG"))}
    process = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**kept, "NNUNET_MAMBA_NO_STARTUP": "1", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(process.stdout.split())


def test_importing_the_operators_imports_no_compiler_and_no_counter():
    loaded = _loaded("import sys, nnunet_mamba.ops; print(*sys.modules)")
    assert "torch" in loaded
    assert not {"numba", "llvmlite", "triton", "rich", "nnunetv2"} & {name.split(".")[0] for name in loaded}
    assert "torch.utils.flop_counter" not in loaded


def test_importing_the_package_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import nnunet_mamba; print(*sorted(set(sys.modules) - before))"
    assert _loaded(code, "-S", PYTHONPATH=str(PACKAGE.parent)) == {"nnunet_mamba"}
