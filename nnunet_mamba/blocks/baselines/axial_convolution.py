"""U-Lite's axial convolution: every channel sees its column and its row."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import is_whole, require_whole


class AxialConvolution(nn.Module):
    """Add to a map what a filter along the height and one along the width make of each channel.

    Args:
        channels: of the map and of the result.
        kernel_size: taps of both filters, odd.
        dilation: distance of the taps.

    Raises:
        ValueError: a number does not fit.

    Source:
        Dinh et al. 2023, "1M parameters are enough?" (U-Lite), arXiv:2306.16103.
    """

    published_names: ClassVar[Mapping[str, str]] = {"along_height": "dw_h", "along_width": "dw_w"}

    def __init__(self, channels: int, *, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        require_whole("AxialConvolution", channels=channels, dilation=dilation)
        if not is_whole(kernel_size) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"AxialConvolution: kernel_size={kernel_size!r}, expected a positive odd number: an even kernel has no "
                f"centre; pass such as 7"
            )
        reach = dilation * (kernel_size // 2)
        self.along_height = nn.Conv2d(
            channels, channels, (kernel_size, 1), padding=(reach, 0), dilation=(dilation, 1), groups=channels
        )
        self.along_width = nn.Conv2d(
            channels, channels, (1, kernel_size), padding=(0, reach), dilation=(1, dilation), groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (b, channels, h, w), into the same shape."""
        convolved: Tensor = x + self.along_height(x) + self.along_width(x)
        return convolved
