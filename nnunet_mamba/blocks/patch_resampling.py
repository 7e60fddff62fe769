"""VM-UNet's ways between resolutions: patches of pixels become channels, and channels become patches of pixels.

All maps have their channels last, (b, h, w, c), as the blocks between them do.
"""

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_whole


class PatchEmbedding(nn.Module):
    """Turn patches of an image into tokens: a convolution whose stride is its side, and a norm.

    Args:
        in_channels: of the image.
        d_model: width of the tokens.
        patch_size: side of a patch, pixels.

    Source:
        Ruan et al. 2024, "VM-UNet", arXiv:2402.02491.
    """

    def __init__(self, in_channels: int, d_model: int, *, patch_size: int = 4) -> None:
        super().__init__()
        require_whole("PatchEmbedding", in_channels=in_channels, d_model=d_model, patch_size=patch_size)
        self.proj = nn.Conv2d(in_channels, d_model, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (b, in_channels, h, w) into tokens (b, h / patch_size, w / patch_size, d_model)."""
        tokens: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return tokens


class PatchMerging(nn.Module):
    """Halve the resolution: the four pixels of a patch, concatenated, normalised, projected to twice the channels.

    An odd last row or column is dropped.

    Args:
        d_model: channels of the map.

    Source:
        Liu et al. 2021, "Swin Transformer", arXiv:2103.14030, as VM-UNet uses it.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        require_whole("PatchMerging", d_model=d_model)
        self.norm = nn.LayerNorm(4 * d_model)
        self.reduction = nn.Linear(4 * d_model, 2 * d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, h, w, d_model) into (b, h // 2, w // 2, 2 * d_model)."""
        b, h, w, c = x.shape
        patches = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
        # The published order of a patch's pixels goes down its columns.
        columns = patches.permute(0, 1, 3, 4, 2, 5).reshape(b, h // 2, w // 2, 4 * c)
        merged: Tensor = self.reduction(self.norm(columns))
        return merged


class PatchExpanding(nn.Module):
    """Raise the resolution: every pixel is projected to the channels of a patch of pixels, which are then normalised.

    Args:
        d_model: channels of the map.
        factor: side of a patch.
        out_channels: channels of a patch's pixels.

    Source:
        Cao et al. 2021, "Swin-Unet", arXiv:2105.05537, as VM-UNet uses it.
    """

    def __init__(self, d_model: int, *, factor: int, out_channels: int) -> None:
        super().__init__()
        require_whole("PatchExpanding", d_model=d_model, factor=factor, out_channels=out_channels)
        self.factor = factor
        self.expand = nn.Linear(d_model, factor * factor * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, h, w, d_model) into (b, factor * h, factor * w, out_channels)."""
        return self.patches(x).transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def patches(self, x: Tensor) -> Tensor:
        """Turn (b, h, w, d_model) into patches that are not in their places yet, (b, h, w, factor, factor, out)."""
        patches: Tensor = self.norm(torch.unflatten(self.expand(x), 3, (self.factor, self.factor, -1)))
        return patches
