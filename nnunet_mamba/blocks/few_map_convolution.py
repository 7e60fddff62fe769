"""torch's convolution of images, computed by loops of our own where the channels are few."""

from torch import Tensor, nn

from nnunet_mamba.ops import few_map_convolution


class FewMapConvolution(nn.Conv2d):
    """``torch.nn.Conv2d`` with a bias, one dilation, and as many zeros around the maps as keep their size.

    Its arguments, weights and results are those of torch's class; see ``ops.few_maps`` for the loops.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (b, in_channels, h, w), into (b, out_channels, h, w)."""
        assert self.bias is not None
        # Autocast decides about torch's own convolutions by the operator.
        if x.dtype != self.weight.dtype or x.device.type != "cpu":
            return super().forward(x)
        return few_map_convolution(x, self.weight, self.bias, dilation=int(self.dilation[0]))
