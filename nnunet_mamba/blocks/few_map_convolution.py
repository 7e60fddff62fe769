"""torch's convolution of images, computed by loops of our own where the channels are few."""

import torch
from torch import Tensor, nn

from nnunet_mamba.ops import few_map_convolution
from nnunet_mamba.ops.transforms import is_recorded


class FewMapConvolution(nn.Conv2d):
    """``torch.nn.Conv2d`` with a bias, and as many zeros around the maps as keep their size.

    Its weights and results are those of torch's class; see ``ops.few_maps`` for the loops.

    Args:
        in_channels: of the maps.
        out_channels: of the result.
        kernel_size: taps along both axes, odd.
        dilation: distance of the taps.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (b, in_channels, h, w), into (b, out_channels, h, w)."""
        # A traced or exported graph serves every device, and autocast has torch's convolution in half precision.
        is_plain = x.device.type == "cpu" and x.dtype == self.weight.dtype and not torch.is_autocast_enabled("cpu")
        if self.bias is None or x.ndim != 4 or not is_plain or is_recorded():
            return super().forward(x)
        return few_map_convolution(x, self.weight, self.bias, dilation=int(self.dilation[0]))
