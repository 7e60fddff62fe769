"""Counts of the scan's Triton kernels: they do not grow, and are read rightly from machine code."""

import json
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GROWTH = 1.1
# A pointer more or less on the stack is no growth.
POINTERS = 32


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The script as a module."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import kernel_figures

    return kernel_figures


@pytest.fixture
def baseline(figures):
    """The counts that lie beside the script."""
    return json.loads(figures.BASELINE.read_text())


def _grown(now, before, columns):
    assert now.keys() == before.keys()
    return [
        f"{name}, {column}: {row[column]} after {before[name][column]}"
        for name, row in now.items()
        for column in columns
        if row[column] > GROWTH * before[name][column] + (POINTERS if column == "spilled" else 0)
    ]


def test_memory_and_launches_do_not_grow(figures, baseline):
    assert _grown(figures.plan_figures(), baseline["plans"], ("extra_bytes", "launches")) == []


def test_traffic_around_the_scan_of_a_map_does_not_grow(figures, baseline):
    now = figures.map_figures()
    assert _grown(now, baseline["maps"], ("outside", "launches")) == []
    # Four times and 3.7 times what the scan moves, when each direction was a copy.
    assert now["forward, composed, 132"]["outside"] > 4
    assert now["forward, by index, 132"]["outside"] < 2


def test_launches_of_a_network_do_not_grow(figures):
    assert figures.network_launches(is_fused=False) == 208
    assert figures.network_launches(is_fused=True) <= 154


@pytest.mark.slow
def test_instructions_and_registers_do_not_grow(figures, baseline):
    if triton.__version__ != baseline["triton"]:
        pytest.skip(f"the counts are of Triton {baseline['triton']}, this is {triton.__version__}")
    now = figures.kernel_figures(figures.BASELINE_TARGET, figures.BASELINE_SHAPES)
    assert _grown(now, baseline["kernels"], ("instructions", "registers", "spilled")) == []


ODD_MAPS = {
    "one position": {"b": 1, "height": 1, "width": 1, "d": 1, "rank": 1, "n": 1},
    "segments of a narrow map": {"b": 1, "height": 3, "width": 700, "d": 33, "rank": 64, "n": 5},
    "many states": {"b": 2, "height": 9, "width": 8, "d": 6, "rank": 20, "n": 300},
}


@pytest.mark.parametrize(
    "name", [*ODD_MAPS][:1] + [pytest.param(name, marks=pytest.mark.slow) for name in [*ODD_MAPS][1:]]
)
def test_kernels_of_odd_maps_compile(figures, name):
    from kernel_figures_parts import compiling

    passes = compiling.recorded(compiling.MapShape(**ODD_MAPS[name]), 132, compiling.TARGETS["sm_90"])
    assert all(record.launches for record in passes)
    assert all(launch.compiled.asm["cubin"] for record in passes for launch in record.launches)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_80", "sm_100", "gfx942", "gfx1100"])
def test_kernels_of_maps_compile_for_other_gpus(figures, target):
    assert figures.kernel_figures(target, ["VM-UNet's maps"]).keys() == {
        "cross_forward_kernel, VM-UNet's maps",
        "cross_backward_kernel, VM-UNet's maps",
    }


NVIDIA = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   ISETP.NE.AND P0, PT, R0, RZ, PT ;
        /*0020*/               @P0 BRA `(.L_x_0) ;
        /*0030*/                   STG.E desc[UR6][R36.64], R48 ;
        /*0040*/                   STG.E desc[UR6][R38.64], R49 ;
.L_x_0:
        /*0050*/                   FFMA R1, R2, R3, R4 ;
        /*0060*/                   FFMA R1, R2, R3, R4 ;
        /*0070*/              @!P1 BRA `(.L_x_1) ;
        /*0080*/                   EXIT ;
.L_x_2:
        /*0090*/                   BRA `(.L_x_2);
"""


def test_a_loop_is_counted_without_what_a_branch_jumps_over(figures, monkeypatch):
    from kernel_figures_parts import machine_code

    monkeypatch.setattr(machine_code, "_SHORTEST_LOOP", 2)
    loops = machine_code._loops(NVIDIA, machine_code.NVIDIA_INSTRUCTION, machine_code.NVIDIA_BRANCH)
    assert loops == ((5, 2),)
    code = machine_code.Code(loops, registers=8, spilled=0)
    assert code.per_token({"T": 32, "K": 1, "D": 1}) == (5 + 2 / 2) / 32
