import pytest
import torch

from nnunet_mamba.system.machine import available_cores
from nnunet_mamba.training import device
from nnunet_mamba.training.device import device_or_cpu, scan_notice


@pytest.fixture
def _threads_restored():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize("asked", ["cuda", "mps"])
def test_takes_the_cpu_with_all_its_threads_where_the_device_is_missing(monkeypatch, asked):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    torch.set_num_threads(1)
    found, notice = device_or_cpu(torch.device(asked))
    assert found == torch.device("cpu")
    assert notice is not None
    assert f"No {asked.upper()} device" in notice
    assert "\n" not in notice
    assert torch.get_num_threads() == available_cores()


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (64, 3)])
def test_a_cpu_gets_no_more_threads_than_cores_that_may_be_used(monkeypatch, before, after):
    monkeypatch.setattr(device, "available_cores", lambda: 3)
    torch.set_num_threads(before)
    assert device.device_or_cpu(torch.device("cpu")) == (torch.device("cpu"), None)
    assert torch.get_num_threads() == after


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize(("asked", "cuda"), [("cuda", True), ("mps", False)])
def test_leaves_every_other_choice_alone(monkeypatch, asked, cuda):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    torch.set_num_threads(1)
    assert device_or_cpu(torch.device(asked)) == (torch.device(asked), None)
    assert torch.get_num_threads() == 1


def test_names_the_scan_of_the_device(monkeypatch):
    monkeypatch.delenv("NNUNET_MAMBA_SCAN", raising=False)
    assert scan_notice(torch.device("cpu")) == "Selective scan on cpu: numba_cpu"
    # Like mps, a device that no fast backend knows.
    text = scan_notice(torch.device("meta"))
    assert text.startswith("Selective scan on meta: reference, in plain torch")
    assert "\n" not in text


def test_a_scan_that_cannot_run_is_told_before_training(monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_SCAN", "triton_gpu")
    with pytest.raises(RuntimeError, match="NNUNET_MAMBA_SCAN=triton_gpu cannot run"):
        scan_notice(torch.device("cpu"))
