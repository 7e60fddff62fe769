"""What torch traces of an export: the module, an image, and which of its sizes stay open."""

import logging
import operator
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo.config
from torch import Tensor

from nnunet_mamba.export.gate import WAY_OUT
from nnunet_mamba.export.image_network import ImageNetwork
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.system.memory_errors import is_lack_of_memory

_LARGEST_BATCH = 1 << 16
# Multiples of the network's along each axis of the image that is traced. Small, and neither 0 nor 1 nor equal, which
# torch would take for constants.
_TRACED = (3, 4, 5)
# What torch lets through of a network's own errors while it traces, besides its own, which are RuntimeErrors.
_OF_TRACING = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_AXES = ("rows", "columns", "slices")


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A module and what it is traced with.

    Args:
        module: from pixels to logits and probabilities.
        image: (b, c, h, w), or (b, c, d, h, w).
        open_sizes: axes of the image that may have other sizes later, with what torch must know of them.
    """

    module: ImageNetwork
    image: Tensor
    open_sizes: dict[int, Any]


def traced(subject: ExportSubject, *, largest_side: int, fewest_multiples: int = 1) -> Traced:
    """Return what is traced of networks.

    Args:
        subject: what is exported.
        largest_side: pixels along an axis that images may have, where the size is open.
        fewest_multiples: of the network's ``size_multiple`` along an axis, at least.
    """
    network = subject.networks[0]
    module = ImageNetwork(
        subject.networks,
        subject.plan.normalizations if subject.normalises else (),
        has_regions=subject.has_regions,
        has_fixed_size=subject.has_fixed_size,
        cuts_margin=subject.cuts_margin,
    )
    open_sizes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)}
    size = subject.size
    if not subject.has_fixed_size:
        size = tuple(map(operator.mul, network.size_multiple, _TRACED))
        for axis, (multiple, name) in enumerate(zip(network.size_multiple, _AXES, strict=False), start=2):
            multiples = torch.export.Dim(name, min=fewest_multiples, max=largest_side // multiple)
            open_sizes[axis] = multiple * multiples
    return Traced(module=module.eval(), image=torch.rand(2, network.input_channels, *size), open_sizes=open_sizes)


@contextmanager
def tracing() -> Iterator[None]:
    """Let torch trace without gradients, without remarks, and without its cache of shapes.

    With sizes that stay open the cache costs more than it saves: a quarter of the time of VM-UNet's export.

    Raises:
        ValueError: torch cannot trace the network, or translate an operator of it; tells the first cause.
        MemoryError: the memory is full.
    """
    try:
        with torch.no_grad(), quiet(), torch._dynamo.config.patch(fake_tensor_cache_enabled=False):
            yield
    except _OF_TRACING as error:
        cause = _first_cause(error)
        if is_lack_of_memory(cause):
            raise MemoryError from error
        raise ValueError(f"torch cannot export the network: {_in_a_line(cause)}; {WAY_OUT}") from error


def _first_cause(error: BaseException) -> BaseException:
    """Return what began the chain of an error: torch's own text tells of all of it, over pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _in_a_line(error: BaseException) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first_line}".removesuffix(": ")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what torch and onnxscript tell of their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
