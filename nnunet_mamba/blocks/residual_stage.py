"""The residual convolutions of U-Mamba, for images and volumes."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.layers_by_axes import convolution_for, instance_norm_for

NORM_ARGUMENTS = {"eps": 1e-5, "affine": True}


class ResidualBlock(nn.Module):
    """Two convolutions beside a convolution of one tap, which changes channels and resolution.

    y = act(norm2(conv2(act(norm1(conv1(x))))) + conv3(x)), with InstanceNorm and LeakyReLU.

    Args:
        in_channels: of the map.
        out_channels: of the result.
        kernel_size: odd, one number per axis.
        stride: of conv1 and conv3, one number per axis.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: Sequence[int], stride: Sequence[int]
    ) -> None:
        super().__init__()
        convolution = convolution_for(len(kernel_size))
        norm = instance_norm_for(len(kernel_size))
        padding = tuple(size // 2 for size in kernel_size)
        self.conv1 = convolution(in_channels, out_channels, tuple(kernel_size), tuple(stride), padding)
        self.norm1 = norm(out_channels, **NORM_ARGUMENTS)
        self.conv2 = convolution(out_channels, out_channels, tuple(kernel_size), padding=padding)
        self.norm2 = norm(out_channels, **NORM_ARGUMENTS)
        self.conv3 = convolution(in_channels, out_channels, 1, tuple(stride))

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, *spatial) into (b, out_channels, *ceil(spatial / stride))."""
        # oneDNN writes past a buffer in conv3's gradient where it is strided, channels are last in memory and few:
        # https://github.com/uxlfoundation/oneDNN/issues/6035
        x = x.contiguous()
        y = functional.leaky_relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.conv3(x)
        return functional.leaky_relu(y, inplace=True)


def residual_stage(
    in_channels: int, out_channels: int, *, kernel_size: Sequence[int], stride: Sequence[int], n_blocks: int
) -> nn.Sequential:
    """Return a ``ResidualBlock`` and ``n_blocks`` - 1 blocks of ResNet-D, which keep channels and resolution."""
    # Here, because it comes with nnU-Net, which the other networks do without.
    from dynamic_network_architectures.building_blocks.residual import BasicBlockD  # type: ignore[import-untyped]

    dims = len(kernel_size)
    later_blocks = (
        BasicBlockD(
            convolution_for(dims),
            out_channels,
            out_channels,
            kernel_size=tuple(kernel_size),
            stride=1,
            conv_bias=True,
            norm_op=instance_norm_for(dims),
            norm_op_kwargs=NORM_ARGUMENTS,
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
        )
        for _ in range(n_blocks - 1)
    )
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels, kernel_size=kernel_size, stride=stride), *later_blocks
    )
