from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.ops.scan import backend_speed, numba_cpu
from nnunet_mamba.ops.scan.backend_speed import times_of


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(backend_speed, "SHAPE", (1, 4, 70, 3))


def _with(**functions):
    names = ("forward_saving", "backward")
    return SimpleNamespace(**{**{name: getattr(numba_cpu, name) for name in names}, **functions})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_passes_of_a_scan_are_timed_in_turns(dtype):
    calls = []

    def forward_saving(name):
        return lambda x: calls.append((name, x.u.dtype, tuple(x.u.shape))) or numba_cpu.forward_saving(x)

    found = times_of({name: _with(forward_saving=forward_saving(name)) for name in "ab"}, dtype, "cpu")

    assert [*found] == ["a", "b"]
    assert all(0 < ms < float("inf") for ms in found.values())
    assert calls == 10 * [("a", dtype, (1, 4, 70)), ("b", dtype, (1, 4, 70))]


def test_one_that_fails_at_this_size_takes_forever():
    def backward(dy, x, *saved):
        raise RuntimeError("too large")

    found = times_of({"right": numba_cpu, "failing": _with(backward=backward)}, torch.float32, "cpu")
    assert found["failing"] == float("inf")
    assert found["right"] < float("inf")


def test_a_lack_of_memory_is_raised():
    def forward_saving(x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        times_of({"full": _with(forward_saving=forward_saving)}, torch.float32, "cpu")
