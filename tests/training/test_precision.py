import pytest
import torch

from nnunet_mamba.training.precision import autocast_default, training_dtype

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def device_with_bf16(monkeypatch):
    def has(answer):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: answer)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")

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


def test_other_devices_train_in_full_precision():
    assert training_dtype(CPU) is None


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
        with autocast_default(torch.bfloat16):
            assert torch.get_autocast_dtype("cuda") is torch.bfloat16
            with autocast_default(None):
                assert torch.get_autocast_dtype("cuda") is torch.bfloat16
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_autocast_dtype("cuda") is torch.float16
