import pytest
import torch

from nnunet_mamba.planning import memory
from nnunet_mamba.planning.memory import CPU_SHARE, GIB, resolve_budget


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """A machine without CUDA, with 8 GiB free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "available_memory", lambda: 8 * GIB)


def test_a_cpu_gives_a_share_of_what_is_free():
    budget = resolve_budget(None, None)
    assert (budget.device, budget.size) == ("cpu", int(CPU_SHARE * 8 * GIB))


def test_a_gpu_gives_all_but_a_reserve(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("Device", (), {"total_memory": 24 * GIB}))
    assert resolve_budget(None, None) == memory.Budget(device="cuda", size=23 * GIB)
    assert resolve_budget("cpu", 2.5) == memory.Budget(device="cpu", size=5 * GIB // 2)


@pytest.mark.parametrize(
    ("device", "gibibytes", "text"),
    [
        ("cuda", None, "^`device` cuda: .*no CUDA device.*pass cpu"),
        ("mps", None, "^`device` mps: expected cpu or cuda"),
        (None, 0, "^`memory` 0: expected a positive"),
        (None, float("nan"), "^`memory` nan: expected a positive"),
        (None, 2**17, "^`memory` 131072: no machine has so many"),
    ],
)
def test_what_cannot_be_is_refused(device, gibibytes, text):
    with pytest.raises(ValueError, match=text):
        resolve_budget(device, gibibytes)


def test_a_system_that_does_not_tell_asks_for_the_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    with pytest.raises(ValueError, match=r"`memory` is not given.*pass a number of GiB"):
        resolve_budget("cpu", None)
    assert resolve_budget("cpu", 1).size == GIB
