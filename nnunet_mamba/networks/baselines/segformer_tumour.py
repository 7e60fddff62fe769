"""SegFormer as the tumour papers compare with it: four stages of transformer blocks, and a decoder without any.

Where the papers and the published parameters leave a choice, it is that of SegFormer's own paper: maps are interpolated
without aligned corners and concatenated with the deepest one first.

Source: Crews and Whalen 2024, "Mamba-Based Tumor Segmentation", table I; Xie et al. 2021, "SegFormer",
arXiv:2105.15203.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import is_whole, require_sequence, require_whole
from nnunet_mamba.blocks.baselines.reduced_attention import ReducedAttention
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

# Of every stage's patches: side, and how far two of them are apart.
PATCH_SIZES, PATCH_STRIDES = (7, 3, 3, 3), (4, 2, 2, 2)
# By how much the map is reduced to which a stage's positions look; the smallest has as many positions at each stage.
REDUCTIONS = (8, 4, 2, 1)
N_STAGES = 4
MLP_EXPANSION = 4


class SegFormerTumour(SegmentationNetwork):
    """Segment images of any height and width; the logits of a quarter of the size are interpolated.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        dims: channels of the four stages, each a multiple of its heads.
        depths: transformer blocks of the stages.
        n_heads: heads of a block's attention, by stage.
        decoder_channels: to which the maps of all stages are brought.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        dims: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (3, 4, 6, 3),
        n_heads: Sequence[int] = (1, 2, 4, 8),
        decoder_channels: int = 256,
    ) -> None:
        require_positive("SegFormerTumour", input_channels=input_channels, num_classes=num_classes)
        require_whole("SegFormerTumour", decoder_channels=decoder_channels)
        for name, values in {"dims": dims, "depths": depths, "n_heads": n_heads}.items():
            require_sequence("SegFormerTumour", name, values, of="numbers")
            if len(values) != N_STAGES or not all(is_whole(value) and value >= 1 for value in values):
                raise ValueError(
                    f"SegFormerTumour: {name}={tuple(values)}, expected {N_STAGES} numbers of at least 1; pass one for "
                    f"each stage"
                )
        super().__init__(input_channels, size_multiple=(32, 32), output_reductions=((1, 1),))
        self.encoder = Encoder((input_channels, *dims), depths, n_heads)
        self.decoder = Decoder(dims, decoder_channels, num_classes)

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        logits = self.decoder(self.encoder(x))
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear")


class Encoder(nn.Module):
    """Four stages, each at half the resolution of the one before, the first at a quarter of the image's.

    Args:
        widths: channels of the image and of every stage.
        depths: blocks of every stage.
        n_heads: of every stage's blocks.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], n_heads: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            EncoderStage(
                *between,
                depth,
                n_heads=heads,
                patch_size=PATCH_SIZES[i],
                stride=PATCH_STRIDES[i],
                reduction=REDUCTIONS[i],
            )
            for i, (between, depth, heads) in enumerate(zip(pairwise(widths), depths, n_heads, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of all stages, (b, width, h / 4, w / 4) and smaller, of images (b, c, h, w)."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class EncoderStage(nn.Module):
    """Join overlapping patches, mix them in transformer blocks, normalise.

    Args:
        in_channels: of the map before.
        d_model: channels of this stage.
        depth: blocks.
        n_heads: of a block's attention.
        patch_size: side of a patch.
        stride: distance of the patches.
        reduction: of a block's attention.
    """

    def __init__(
        self, in_channels: int, d_model: int, depth: int, *, n_heads: int, patch_size: int, stride: int, reduction: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, d_model, patch_size, stride=stride, padding=patch_size // 2, bias=False)
        self.patch_norm = nn.LayerNorm(d_model)
        self.blocks = nn.Sequential(
            *(TransformerBlock(d_model, n_heads=n_heads, reduction=reduction) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) into (b, d_model, h / stride, w / stride)."""
        tokens = self.patch_norm(self.patches(x).permute(0, 2, 3, 1))
        mixed: Tensor = self.norm(self.blocks(tokens))
        return mixed.permute(0, 3, 1, 2)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), and the same with an MLP that sees the neighbours: there is no other code of positions.

    Args:
        d_model: width of the map.
        n_heads: of the attention.
        reduction: of the attention.
    """

    def __init__(self, d_model: int, *, n_heads: int, reduction: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = ReducedAttention(d_model, n_heads=n_heads, reduction=reduction)
        self.mlp_norm = nn.LayerNorm(d_model)
        self.mlp = ConvolutionalMLP(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, h, w, d_model), to the same shape."""
        x = x + self.attention(self.attention_norm(x))
        mixed: Tensor = x + self.mlp(self.mlp_norm(x))
        return mixed


class ConvolutionalMLP(nn.Module):
    """A layer of single pixels, a depth-wise convolution that widens the map, GELU, and a layer that narrows it.

    Args:
        d_model: width of the map.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        wide = MLP_EXPANSION * d_model
        self.first = nn.Linear(d_model, d_model)
        self.widen = nn.Conv2d(d_model, wide, 3, padding=1, groups=d_model)
        self.narrow = nn.Linear(wide, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, h, w, d_model), to the same shape."""
        wide = functional.gelu(self.widen(self.first(x).permute(0, 3, 1, 2)))
        narrow: Tensor = self.narrow(wide.permute(0, 2, 3, 1))
        return narrow


class Decoder(nn.Module):
    """Bring the maps of all stages to the channels and the size of one, and read the logits off them.

    Args:
        dims: channels of the stages, highest resolution first.
        channels: to which they are brought.
        num_classes: channels of the logits.
    """

    def __init__(self, dims: Sequence[int], channels: int, num_classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(dim, channels, 1) for dim in dims)
        self.fuse = nn.Conv2d(channels * len(dims), channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.seg_layers = nn.ModuleList([nn.Conv2d(channels, num_classes, 1)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits of the stages' ``maps``, highest resolution first, in the size of the first one."""
        size = maps[0].shape[2:]
        # The published order is the other one; a convolution of one tap gives the same numbers for less work in this.
        levels = [
            functional.interpolate(level(x), size=size, mode="bilinear")
            for level, x in zip(self.levels, maps, strict=True)
        ]
        fused = self.norm(functional.relu(self.fuse(torch.cat(levels[::-1], dim=1))))
        logits: Tensor = self.seg_layers[0](fused)
        return logits
