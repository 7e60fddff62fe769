"""The logits of many slices at once, by networks that see windows of them.

nnU-Net predicts one window after the other. Here windows at the same place of many slices, and their mirrored copies,
share one pass; everything else is done in nnU-Net's order and precision: mirrored copies are added in float32, weighted
by importance, and windows are added and divided in half precision. What differs is how a processor rounds a batch of
another size.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from nnunet_mamba.prediction.engine import NOT_FINITE, NonFiniteLogitsError
from nnunet_mamba.prediction.importance import flips_of, importance, windows_over
from nnunet_mamba.prediction.label_maps import Logits, are_finite
from nnunet_mamba.prediction.preprocessing import FloatArray
from nnunet_mamba.system.memory_errors import is_lack_of_memory

# Pixels that share one pass: batches of 8 windows of 256×256, beyond which a CPU is no faster, and of 128 on a GPU.
_PIXELS_ON_CPU = 8 * 256 * 256
_PIXELS_ELSEWHERE = 128 * 256 * 256
# Passes after which larger ones are tried again: what was missing may have been taken by another program for a while,
# and where it is missing for good, one pass of so many is tried in vain.
_PASSES_UNTIL_LARGER = 32


class SlidingWindow:
    """Networks of one architecture that predict slices of any size together.

    Args:
        networks: one for each fold, whose logits are averaged; all on ``device``.
        window: pixels per axis that the networks see.
        n_heads: channels of the logits.
        mirror_axes: axes of a slice, 0 or 1, along which copies are mirrored and averaged.
        device: of the networks.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        window: tuple[int, int],
        n_heads: int,
        mirror_axes: Sequence[int],
        device: torch.device,
    ) -> None:
        self._networks = networks
        self._window = window
        self._n_heads = n_heads
        self._device = device
        self._importance = torch.from_numpy(importance(window)).to(device)
        self._flips = flips_of(mirror_axes)
        pixels = _PIXELS_ON_CPU if device.type == "cpu" else _PIXELS_ELSEWHERE
        self._full_pass = self._most_windows = max(1, pixels // (window[0] * window[1]))
        self._passes_left = _PASSES_UNTIL_LARGER

    @property
    def slices_at_once(self) -> int:
        """How many slices of one window fill a pass."""
        return max(1, self._most_windows // (1 + len(self._flips)))

    def logits(self, slices: FloatArray) -> Logits:
        """Return the logits of slices of one size, averaged over the networks.

        Args:
            slices: (k, c, y, x); a window large at least, see ``engine.padded``.

        Returns:
            (k, heads, y, x).

        Raises:
            NonFiniteLogitsError: some are NaN or infinite.
            MemoryError: a single window, or all logits, do not fit into the memory.
        """
        with lack_of_memory_as_such():
            found: Logits = self._mean_logits(torch.from_numpy(slices)).numpy()
        return found

    @torch.inference_mode()
    def _mean_logits(self, slices: Tensor) -> Tensor:
        total: Tensor | None = None
        for network in self._networks:
            found = self._of_network(network, slices)
            total = found if total is None else total.add_(found)
        assert total is not None, "no networks"
        if len(self._networks) > 1:
            total /= len(self._networks)
        return total

    def _of_network(self, network: nn.Module, slices: Tensor) -> Tensor:
        windows = windows_over(slices.shape[2:], self._window)
        logits = torch.zeros((len(slices), self._n_heads, *slices.shape[2:]), dtype=torch.float16, device=self._device)
        weights = torch.zeros(slices.shape[2:], dtype=torch.float16, device=self._device)
        # A lack of memory may make passes smaller meanwhile, but not these parts.
        step = self.slices_at_once
        for window in windows:
            weights[window] += self._importance
            for start in range(0, len(slices), step):
                place = (slice(start, start + step), slice(None), *window)
                part = self._mirrored(network, slices[place])
                # Added in float32 and rounded, as torch does it for `+=`, which converts one number after the other.
                logits[place] = part.add_(logits[place].float())
        logits.div_(weights)
        logits = logits.cpu()
        if not are_finite(logits.numpy()):
            raise NonFiniteLogitsError(NOT_FINITE)
        return logits

    def _mirrored(self, network: nn.Module, windows: Tensor) -> Tensor:
        """Return the weighted logits of windows and their mirrored copies, (k, heads, y, x)."""
        images = windows.contiguous().to(self._device)
        copies = [images, *(images.flip(axes) for axes in self._flips)]
        passes = self._passes(network, copies)
        logits = next(passes)
        for axes, mirrored in zip(self._flips, passes, strict=True):
            logits += mirrored.flip(axes)
        if self._flips:
            logits /= len(copies)
        logits *= self._importance
        return logits

    def _passes(self, network: nn.Module, copies: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the logits of every copy, from one pass if it may have so many windows."""
        if 1 < len(copies) <= self._most_windows // len(copies[0]):
            yield from self._pass(network, torch.cat([*copies])).chunk(len(copies))
        else:
            for copy in copies:
                yield self._pass(network, copy)

    def _pass(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logits of images, in halves where memory does not suffice for all."""
        try:
            with self._autocast():
                logits: Tensor = network(images)
            self._grow_again()
            return logits
        except RuntimeError as error:
            if len(images) == 1 or not is_lack_of_memory(error, of_workspace=self._device.type == "cuda"):
                raise
        self._most_windows, self._passes_left = max(1, len(images) // 2), _PASSES_UNTIL_LARGER
        return torch.cat([self._pass(network, half) for half in images.chunk(2)])

    def _grow_again(self) -> None:
        """Let passes double after a number of them for which memory was enough, up to a full one."""
        if self._most_windows < self._full_pass:
            self._passes_left -= 1
            if self._passes_left <= 0:
                self._most_windows = min(self._full_pass, 2 * self._most_windows)
                self._passes_left = _PASSES_UNTIL_LARGER

    def _autocast(self) -> AbstractContextManager[object]:
        # As in nnU-Net: half precision on a GPU only.
        return torch.autocast(self._device.type) if self._device.type == "cuda" else nullcontext()


@contextmanager
def lack_of_memory_as_such() -> Iterator[None]:
    """Raise a MemoryError where torch says in other words that memory is full."""
    try:
        yield
    except RuntimeError as error:
        if not is_lack_of_memory(error):
            raise
        raise MemoryError("too large for the memory that is left") from error
