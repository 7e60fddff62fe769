import pytest
import torch

from nnunet_mamba.planning import memory
from nnunet_mamba.planning.memory import CPU_SHARE, GIB, available_memory, resolve_budget


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without CUDA, with 8 GiB free and no limit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", tmp_path / "memory.max")
    (tmp_path / "meminfo").write_text("MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n")
    (tmp_path / "memory.max").write_text("max\n")
    return tmp_path


def test_a_cpu_gives_a_share_of_what_is_free():
    budget = resolve_budget(None, None)
    assert (budget.device, budget.size) == ("cpu", int(CPU_SHARE * 8 * GIB))


def test_a_container_has_no_more_than_its_limit(machine):
    (machine / "memory.max").write_text(f"{3 * GIB}\n")
    assert available_memory() == 3 * GIB


def test_a_gpu_gives_all_but_a_reserve(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("Device", (), {"total_memory": 24 * GIB}))
    assert resolve_budget(None, None) == memory.Budget(device="cuda", size=23 * GIB)
    assert resolve_budget("cpu", 2.5) == memory.Budget(device="cpu", size=5 * GIB // 2)


@pytest.mark.parametrize(
    ("device", "gibibytes", "text"),
    [
        ("cuda", None, "no CUDA device.*--device cpu"),
        ("mps", None, "--device mps: expected cpu or cuda"),
        (None, 0, "--memory 0: expected a positive"),
        (None, float("nan"), "--memory nan: expected a positive"),
    ],
)
def test_what_cannot_be_is_refused(device, gibibytes, text):
    with pytest.raises(ValueError, match=text):
        resolve_budget(device, gibibytes)


@pytest.mark.parametrize("text", [None, "MemTotal: 1 kB\n"])
def test_a_system_that_does_not_tell_asks_for_the_option(machine, text):
    (machine / "meminfo").unlink() if text is None else (machine / "meminfo").write_text(text)
    with pytest.raises(ValueError, match="pass --memory GIB"):
        resolve_budget("cpu", None)
    assert resolve_budget("cpu", 1).size == GIB
