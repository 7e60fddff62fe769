"""A depthwise separable convolution: one filter for each channel, then one tap that mixes the channels."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import is_whole, require_spatial_dims, require_whole
from nnunet_mamba.blocks.contiguous_gradient import with_contiguous_gradient
from nnunet_mamba.blocks.layers_by_axes import batch_norm_for, convolution_for


class SeparableConvolution(nn.Module):
    """Convolve each channel, then mix the channels, each step with batch norm and GELU.

    Args:
        channels: of the map and of the result.
        kernel_size: taps along every axis, odd.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        ValueError: a number does not fit.

    Source:
        Fan et al. 2025, "UltraLBM-UNet", section 3.2.2 (DWConv).
    """

    published_names: ClassVar[Mapping[str, str]] = {
        "depthwise": "dw",
        "depthwise_norm": "bn_dw",
        "pointwise": "pw",
        "pointwise_norm": "bn_pw",
    }

    def __init__(self, channels: int, *, kernel_size: int, spatial_dims: int = 2) -> None:
        super().__init__()
        require_whole("SeparableConvolution", channels=channels)
        require_spatial_dims("SeparableConvolution", spatial_dims)
        if not is_whole(kernel_size) or kernel_size < 1 or kernel_size % 2 == 0:
            nearest = max(1, kernel_size + 1) if is_whole(kernel_size) else 3
            raise ValueError(
                f"SeparableConvolution: kernel_size={kernel_size!r}, expected a positive odd number: an even kernel "
                f"has no centre; pass {nearest}"
            )
        convolution = convolution_for(spatial_dims)
        norm = batch_norm_for(spatial_dims)
        self.depthwise = convolution(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=False
        )
        self.depthwise_norm = norm(channels)
        self.pointwise = convolution(channels, channels, 1, bias=False)
        self.pointwise_norm = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (b, channels, *spatial), into the same shape."""
        if self.training and x.numel() == x.shape[1]:
            raise ValueError(
                f"SeparableConvolution: map of shape {tuple(x.shape)} in training, expected more than one position "
                f"over all images, because batch norm cannot normalise a single value; train on batches of at least "
                f"two images or on larger ones, or call eval()"
            )
        x = functional.gelu(with_contiguous_gradient(self.depthwise_norm(self.depthwise(x))))
        return functional.gelu(with_contiguous_gradient(self.pointwise_norm(self.pointwise(x))))
