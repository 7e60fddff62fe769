"""CMUNeXt's block: a large filter for each channel, then two layers of single pixels that widen and narrow the map."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import is_whole, require_whole

EXPANSION = 4


class LargeKernelBlock(nn.Module):
    """Filter each channel and add the map, then mix the channels; GELU and a batch norm follow every convolution.

    y = x + norm(GELU(depthwise(x))); y = widen_norm(GELU(widen(y))); y = narrow_norm(GELU(narrow(y)))

    Args:
        channels: of the map and of the result.
        kernel_size: taps of the filters along both axes, odd.

    Raises:
        ValueError: a number does not fit.

    Source:
        Tang et al. 2024, "CMUNeXt", arXiv:2308.01239.
    """

    published_names: ClassVar[Mapping[str, str]] = {
        "depthwise": "0.fn.0",
        "norm": "0.fn.2",
        "widen": "1",
        "widen_norm": "3",
        "narrow": "4",
        "narrow_norm": "6",
    }

    def __init__(self, channels: int, *, kernel_size: int) -> None:
        super().__init__()
        require_whole("LargeKernelBlock", channels=channels)
        if not is_whole(kernel_size) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"LargeKernelBlock: kernel_size={kernel_size!r}, expected a positive odd number: an even kernel has no "
                f"centre; pass such as 7"
            )
        wide = EXPANSION * channels
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.widen = nn.Conv2d(channels, wide, 1)
        self.widen_norm = nn.BatchNorm2d(wide)
        self.narrow = nn.Conv2d(wide, channels, 1)
        self.narrow_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, channels, h, w), into the same shape."""
        x = x + self.norm(functional.gelu(self.depthwise(x)))
        x = self.widen_norm(functional.gelu(self.widen(x)))
        mixed: Tensor = self.narrow_norm(functional.gelu(self.narrow(x)))
        return mixed
