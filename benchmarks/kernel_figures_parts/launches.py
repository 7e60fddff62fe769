"""What the forward pass of a network launches on a GPU that is not there, counted on tensors without memory."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nnunet_mamba.ops.mixer import op as mixer
from nnunet_mamba.ops.mixer import triton_gpu as mixer_kernels
from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.scan import triton_gpu as scan_kernels
from nnunet_mamba.ops.scan.operands import ScanOperands

# Operators that launch nothing, beside those that return views.
_WITHOUT_LAUNCH = {"empty", "empty_like", "new_empty", "_unsafe_view", "promote_types"}
_OURS: dict[str, Callable[..., Any]] = {
    "selective_scan": lambda *given: scan_kernels.forward(ScanOperands(*given)),
    "mamba_mixer": lambda *given: mixer_kernels.forward(MambaOperands(*given)),
}


class _Counting(TorchDispatchMode):
    """Count what torch's operators launch, and what our own do inside."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, given: Sequence[Any] = (), options: dict[str, Any] | None = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if function.namespace == "nnunet_mamba":
            with self:
                return _OURS[name](*given)
        if name not in _WITHOUT_LAUNCH and not _returns_views(function):
            self.launches[name] += 1
        return function(*given, **(options or {}))


def _returns_views(function: Any) -> bool:
    aliases = [result.alias_info for result in function._schema.returns]
    return all(alias is not None and not alias.is_write for alias in aliases)


class _Kernel:
    """A kernel that is counted instead of launched."""

    def __init__(self, name: str, launches: Counter[str]) -> None:
        self._name, self._launches = name, launches

    def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
        def launch(*arguments: Any, **options: Any) -> None:
            self._launches[self._name] += 1

        return launch


@contextmanager
def _counted_kernels(modules: Sequence[ModuleType], launches: Counter[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for module in modules:
            for name in vars(module):
                if name.endswith("_kernel"):
                    stack.enter_context(patch.object(module, name, _Kernel(name, launches)))
        yield


def forward_launches(
    network: nn.Module, images: Sequence[int], *, n_multiprocessors: int, is_fused: bool = True
) -> Counter[str]:
    """Return how often each operator and kernel is launched in inference in float32.

    Args:
        network: its Mamba blocks are all small enough for the fused kernels.
        images: their shape.
        n_multiprocessors: of the GPU, which decides into how many segments a scan is divided.
        is_fused: whether Mamba blocks are fused, or composed of torch's operators around the scan.
    """
    counting = _Counting()
    network = network.to("meta").eval()
    fused = patch.object(mixer, "_mix", lambda x: torch.ops.nnunet_mamba.mamba_mixer(*x))
    with ExitStack() as stack:
        stack.enter_context(_counted_kernels((scan_kernels, mixer_kernels), counting.launches))
        stack.enter_context(patch.object(scan_kernels, "n_multiprocessors", lambda device: n_multiprocessors))
        if is_fused:
            stack.enter_context(fused)
        stack.enter_context(torch.no_grad())
        stack.enter_context(counting)
        network(torch.empty(images, device="meta"))
    return counting.launches
