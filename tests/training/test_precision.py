import pytest
import torch
from torch import nn

from nnunet_mamba.training.precision import training_dtype, training_precision

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def device_with_bf16(monkeypatch):
    def has(answer):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: answer)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")

    return has


@pytest.fixture
def cpu_with_bf16(monkeypatch):
    def has(answer):
        flags = frozenset({"avx2", "avx512_bf16"} if answer else {"avx2"})
        monkeypatch.setattr("nnunet_mamba.training.precision.processor_flags", lambda: flags)

    return has


@pytest.mark.parametrize(
    ("has_bf16", "asked", "dtype"),
    [
        (True, "", torch.bfloat16),
        (False, "", torch.float16),
        (True, "fp16", torch.float16),
        (True, "bf16", torch.bfloat16),
    ],
)
def test_takes_bf16_where_the_device_has_it(device_with_bf16, monkeypatch, has_bf16, asked, dtype):
    device_with_bf16(has_bf16)
    monkeypatch.setenv("NNUNET_MAMBA_PRECISION", asked)
    assert training_dtype(CUDA) is dtype


def test_a_cpu_trains_in_float32_unless_bf16_is_asked_for(cpu_with_bf16, monkeypatch):
    cpu_with_bf16(True)
    for asked, dtype in (("", None), ("fp16", None), ("bf16", torch.bfloat16)):
        monkeypatch.setenv("NNUNET_MAMBA_PRECISION", asked)
        assert training_dtype(CPU) is dtype


def test_a_cpu_without_products_of_bf16_refuses_it(cpu_with_bf16, monkeypatch):
    cpu_with_bf16(False)
    monkeypatch.setenv("NNUNET_MAMBA_PRECISION", "bf16")
    with pytest.raises(ValueError, match=r"has no products of bf16 .*longer than in float32; unset it"):
        training_dtype(CPU)


def test_other_devices_train_in_full_precision(monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_PRECISION", "bf16")
    assert training_dtype(torch.device("mps")) is None


def test_refuses_what_the_device_has_not(device_with_bf16, monkeypatch):
    device_with_bf16(False)
    monkeypatch.setenv("NNUNET_MAMBA_PRECISION", "bf16")
    with pytest.raises(ValueError, match="Old GPU has no bf16; take fp16, or unset it"):
        training_dtype(CUDA)


@pytest.mark.parametrize("device", [CUDA, CPU])
def test_refuses_another_name(monkeypatch, device):
    monkeypatch.setenv("NNUNET_MAMBA_PRECISION", "fp8")
    with pytest.raises(ValueError, match="NNUNET_MAMBA_PRECISION='fp8': expected fp16 or bf16"):
        training_dtype(device)


def test_the_default_of_autocast_comes_back_after_an_error():
    def fail():
        with training_precision(nn.Identity(), CUDA, torch.bfloat16):
            assert torch.get_autocast_dtype("cuda") is torch.bfloat16
            with training_precision(nn.Identity(), CUDA, None):
                assert torch.get_autocast_dtype("cuda") is torch.bfloat16
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_autocast_dtype("cuda") is torch.float16


class Probe(nn.Module):
    """Remembers the precision that it was called in."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(3, 3), []

    def forward(self, x):
        y = self.layer(x)
        self.seen.append(y.dtype)
        if x.isnan().any():
            raise FloatingPointError
        return [y, y]


def test_passes_on_a_cpu_compute_in_bf16_and_what_follows_in_float32():
    network = Probe()
    with training_precision(network, CPU, torch.bfloat16):
        outputs = network(torch.ones(1, 3))
        assert not torch.is_autocast_enabled("cpu")
        sum(output.sum() for output in outputs).backward()
    assert network.seen == [torch.bfloat16]
    assert [output.dtype for output in outputs] == [torch.float32] * 2
    assert network.layer.weight.grad.dtype is torch.float32
    network(torch.ones(1, 3))
    assert network.seen[-1] is torch.float32


def test_an_error_in_a_pass_leaves_no_autocast_behind():
    network = Probe()
    with training_precision(network, CPU, torch.bfloat16):
        with pytest.raises(FloatingPointError):
            network(torch.full((1, 3), torch.nan))
        assert not torch.is_autocast_enabled("cpu")
