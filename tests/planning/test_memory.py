import pytest
import torch

from nnunet_mamba.planning import memory
from nnunet_mamba.planning.gpu_memory import GpuMemory
from nnunet_mamba.planning.memory import CPU_SHARE, GIB, resolve_budget


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """A machine without CUDA, with 8 GiB free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "available_memory", lambda: 8 * GIB)


def test_a_cpu_gives_a_share_of_what_is_free():
    budget = resolve_budget(None, None)
    assert (budget.device, budget.size) == ("cpu", int(CPU_SHARE * 8 * GIB))


@pytest.fixture
def gpu(monkeypatch):
    """Pretend a GPU with so many GiB, of which some are free beside a context of half a GiB."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def pretend(total, free):
        found = GpuMemory(name="Pretended", total=round(total * GIB), free=round(free * GIB))
        monkeypatch.setattr(memory, "gpu_memory", lambda: found)

    return pretend


def test_a_gpu_gives_all_but_a_reserve(gpu):
    gpu(24, 23.5)
    budget = resolve_budget(None, None)
    assert budget == memory.Budget(device="cuda", size=23 * GIB)
    assert budget.held_by_others == 0
    assert resolve_budget("cpu", 2.5) == memory.Budget(device="cpu", size=5 * GIB // 2)


def test_a_gpu_that_others_use_gives_what_they_leave(gpu):
    gpu(24, 15.5)
    budget = resolve_budget(None, None)
    assert (budget.size, budget.held_by_others) == (15 * GIB, 8 * GIB)
    gpu(24, 0.4)
    with pytest.raises(
        ValueError, match=r"0\.4 of the 24\.0 GiB of Pretended are free, too little for a training; end"
    ):
        resolve_budget(None, None)


def test_the_memory_of_a_card_leaves_the_reserve_of_that_card(gpu):
    gpu(79.2, 78.6)
    assert resolve_budget("cuda", 12).size == 11 * GIB
    # Of the GiB in a card's name some are missing.
    assert resolve_budget("cuda", 80).size == round(79.2 * GIB) - GIB
    gpu(22.5, 22)
    assert resolve_budget("cuda", 24).size == round(21.5 * GIB)


@pytest.mark.parametrize(
    ("free", "gibibytes", "text"),
    [
        (23.5, 1, "^`memory` 1: CUDA itself takes up to 1 GiB of a GPU; pass more"),
        (23.5, 48, r"^`memory` 48: Pretended has 24\.0 GiB, and steps are measured on it; pass at most 24\.0"),
        (10.25, 12, r"^`memory` 12: .* up to 11\.0 GiB, and 10\.2 of the 24\.0 GiB of Pretended .* at most 11\.2$"),
    ],
)
def test_what_cannot_be_measured_on_this_gpu_is_refused_with_the_numbers(gpu, free, gibibytes, text):
    gpu(24, free)
    with pytest.raises(ValueError, match=text):
        resolve_budget(None, gibibytes)


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
