"""The U-Net that the tumour papers compare with: five levels, two convolutions with batch norm on each.

Source: Crews and Whalen 2024, "Mamba-Based Tumor Segmentation", table I; after Ronneberger et al. 2015,
arXiv:1505.04597.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_sequence, require_whole
from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork


class UNetTumour(SegmentationNetwork):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        features_per_stage: channels of every level, highest resolution first; two levels or more.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self, input_channels: int, num_classes: int, *, features_per_stage: Sequence[int] = (32, 64, 128, 256, 512)
    ) -> None:
        require_positive("UNetTumour", input_channels=input_channels, num_classes=num_classes)
        require_sequence("UNetTumour", "features_per_stage", features_per_stage, of="channel numbers")
        require_whole(
            "UNetTumour", **{f"features_per_stage[{level}]": width for level, width in enumerate(features_per_stage)}
        )
        if len(features_per_stage) < 2:
            raise ValueError(
                f"UNetTumour: features_per_stage={tuple(features_per_stage)}, expected two levels or more; the papers' "
                f"are (32, 64, 128, 256, 512)"
            )
        n_poolings = len(features_per_stage) - 1
        super().__init__(input_channels, size_multiple=(2**n_poolings,) * 2, output_reductions=((1, 1),))
        self.encoder = Encoder((input_channels, *features_per_stage))
        self.decoder = Decoder(features_per_stage[::-1], num_classes)

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        logits: Tensor = self.decoder(self.encoder(x))
        return logits


class Encoder(nn.Module):
    """Mix, pool to half the size, and again.

    Args:
        widths: channels of the image and of every level.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_two_convolutions(before, width) for before, width in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of all levels, (b, width, h / 2^level, w / 2^level), of images (b, c, h, w)."""
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(max_pool(maps[-1], (2, 2)) if maps else x))
        return maps


class Decoder(nn.Module):
    """Double the size by a transposed convolution, concatenate the encoder's map, mix, and again.

    Args:
        widths: channels of every level, lowest resolution first.
        num_classes: channels of the logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.upsample_layers = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, stride=2) for below, width in pairwise(widths)
        )
        self.stages = nn.ModuleList(_two_convolutions(2 * width, width) for width in widths[1:])
        self.seg_layers = nn.ModuleList([nn.Conv2d(widths[-1], num_classes, 1)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits (b, num_classes, h, w) of the encoder's ``maps``, highest resolution first."""
        x = maps[-1]
        for upsample, stage, skip in zip(self.upsample_layers, self.stages, maps[-2::-1], strict=True):
            x = stage(torch.cat([upsample(x), skip], dim=1))
        logits: Tensor = self.seg_layers[0](x)
        return logits


def _two_convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        # The bias does nothing before a norm; it is among the published parameters.
        layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
