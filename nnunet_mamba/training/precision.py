"""The half precision that a CUDA device trains in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

VARIABLE = "NNUNET_MAMBA_PRECISION"
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def training_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast in training, None where nnU-Net trains in full precision.

    bf16 has the range of float32, so that nothing overflows and no loss needs scaling; ``$NNUNET_MAMBA_PRECISION``
    (fp16 or bf16) decides otherwise. Validation and prediction keep nnU-Net's fp16.

    Args:
        device: that trains.

    Raises:
        ValueError: the variable has another value, or the device does not have this precision.
    """
    name = os.environ.get(VARIABLE) or None
    if name is not None and name not in DTYPES:
        raise ValueError(f"{VARIABLE}={name!r}: expected fp16 or bf16, or unset it")
    if device.type != "cuda":
        return None
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "bf16" and not has_bf16:
        raise ValueError(f"{VARIABLE}=bf16: {torch.cuda.get_device_name(device)} has no bf16; take fp16, or unset it")
    if name is None:
        name = "bf16" if has_bf16 else "fp16"
    return DTYPES[name]


@contextmanager
def autocast_default(dtype: torch.dtype | None) -> Iterator[None]:
    """Make ``dtype`` the default of autocast on CUDA in the block; None changes nothing.

    Args:
        dtype: a half precision.
    """
    if dtype is None:
        yield
        return
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.set_autocast_dtype("cuda", before)
