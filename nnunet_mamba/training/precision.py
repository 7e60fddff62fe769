"""The half precision that a device trains in."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from nnunet_mamba.system.machine import processor, processor_flags

VARIABLE = "NNUNET_MAMBA_PRECISION"
# As Linux names them.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def training_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast in training, None where nnU-Net trains in full precision.

    bf16 has the range of float32, so that nothing overflows and no loss needs scaling. A CUDA device that has it trains
    in it; ``$NNUNET_MAMBA_PRECISION`` (fp16 or bf16) decides otherwise. A CPU trains in float32 unless the variable is
    bf16. Validation and prediction keep nnU-Net's precision: fp16 on CUDA, float32 on a CPU.

    Args:
        device: that trains.

    Raises:
        ValueError: the variable has another value, or the device does not have this precision.
    """
    name = os.environ.get(VARIABLE) or None
    if name is not None and name not in DTYPES:
        raise ValueError(f"{VARIABLE}={name!r}: expected fp16 or bf16, or unset it")
    if device.type == "cpu":
        # Whoever sets fp16 for a GPU can train on the CPU of the same machine.
        return _bf16_of_cpu() if name == "bf16" else None
    if device.type != "cuda":
        return None
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "bf16" and not has_bf16:
        raise ValueError(f"{VARIABLE}=bf16: {torch.cuda.get_device_name(device)} has no bf16; take fp16, or unset it")
    if name is None:
        name = "bf16" if has_bf16 else "fp16"
    return DTYPES[name]


def _bf16_of_cpu() -> torch.dtype:
    if not cpu_multiplies_bf16():
        raise ValueError(
            f"{VARIABLE}=bf16: {processor()} has no products of bf16 (AVX512-BF16 or AMX), so that it would take "
            "longer than in float32; unset it"
        )
    return torch.bfloat16


def cpu_multiplies_bf16() -> bool:
    """Return whether the processor has products of bf16; False where the system does not tell."""
    return bool(BF16_FLAGS & processor_flags())


@contextmanager
def training_precision(network: nn.Module, device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Let a network train in a half precision in the block; None changes nothing.

    On CUDA it becomes the default of autocast, which nnU-Net turns on. nnU-Net has none on a CPU: there the network's
    passes compute in it and return float32, so that what follows, such as the loss, stays in float32.

    Args:
        network: compiled or not.
        device: of the network.
        dtype: of autocast.
    """
    if dtype is None:
        yield
        return
    with _passes_in(network, dtype) if device.type == "cpu" else _autocast_default(dtype):
        yield


@contextmanager
def _autocast_default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.set_autocast_dtype("cuda", before)


@contextmanager
def _passes_in(network: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    entered = ExitStack()

    def enter(*_: object) -> None:
        entered.enter_context(torch.autocast("cpu", dtype=dtype))

    def leave(_: nn.Module, __: object, outputs: Tensor | list[Tensor] | None) -> Tensor | list[Tensor] | None:
        entered.close()
        # After an error there are none.
        if outputs is None:
            return None
        return outputs.float() if isinstance(outputs, Tensor) else [each.float() for each in outputs]

    hooks = network.register_forward_pre_hook(enter), network.register_forward_hook(leave, always_call=True)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
