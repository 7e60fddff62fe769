"""Attention U-Net, UNet++, Swin UNETR and UNETR of MONAI, for images and for volumes.

MONAI is imported when a network is built, which takes seconds.

Source: github.com/Project-MONAI/MONAI; Oktay et al. 2018, arXiv:1804.03999; Zhou et al. 2018, arXiv:1807.10165;
Hatamizadeh et al. 2022, arXiv:2201.01266; Hatamizadeh et al. 2021, arXiv:2103.10504.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import is_whole, named_axes, require_sequence, require_spatial_dims
from nnunet_mamba.networks.baselines.library_network import (
    LibraryNetwork,
    OneSizeNetwork,
    built_with_numbers,
    padded_size,
)
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.stage_u_net import require_two_positions

# Of UNETR's patches.
PATCH_SIZE = 16
# By which Swin UNETR's deepest map is smaller: patches of 2, merged four times.
SWIN_STRIDE = 32
N_SWIN_STAGES = 4
# Swin UNETR's widths are multiples of it.
SWIN_UNIT = 12
# UNet++ has five levels, and MONAI a width for the last map besides.
N_LEVELS = 5


class MonaiAttentionUnet(LibraryNetwork):
    """Segment images or volumes of any size; gates weigh what the encoder hands to the decoder.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        features_per_stage: channels of every level, highest resolution first; two levels or more.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    library_head = "model.2"

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        features_per_stage: Sequence[int] = (64, 128, 256, 512, 1024),
        spatial_dims: int = 2,
    ) -> None:
        owner = "MonaiAttentionUnet"
        _require_usual(owner, input_channels, num_classes, spatial_dims)
        _require_numbers(owner, "features_per_stage", features_per_stage)
        n_poolings = len(features_per_stage) - 1
        if n_poolings < 1:
            raise ValueError(
                f"{owner}: features_per_stage={tuple(features_per_stage)}, expected two levels or more; pass such as "
                f"(64, 128, 256)"
            )
        body = _monai(
            "AttentionUnet",
            spatial_dims=spatial_dims,
            in_channels=input_channels,
            out_channels=num_classes,
            channels=tuple(features_per_stage),
            strides=(2,) * n_poolings,
        )
        super().__init__(input_channels, body, size_multiple=(2**n_poolings,) * spatial_dims)


class MonaiUnetPlusPlus(LibraryNetwork):
    """Segment images or volumes of any size by UNet++, whose skips are decoders themselves.

    Only the last of MONAI's four heads is here, all of which have the image's resolution.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        features_per_stage: channels of five levels, highest resolution first.
        last_features: channels of the map that the head gets.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    library_head = "final_conv_0_4"
    published_unused = r"final_conv_0_[123]\."

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        features_per_stage: Sequence[int] = (32, 64, 128, 256, 512),
        last_features: int = 32,
        spatial_dims: int = 2,
    ) -> None:
        owner = "MonaiUnetPlusPlus"
        _require_usual(owner, input_channels, num_classes, spatial_dims)
        _require_numbers(owner, "features_per_stage", features_per_stage, n=N_LEVELS)
        require_positive(owner, last_features=last_features)
        body = _monai(
            "BasicUNetPlusPlus",
            spatial_dims=spatial_dims,
            in_channels=input_channels,
            out_channels=num_classes,
            features=(*features_per_stage, last_features),
        )
        for index in range(1, N_LEVELS - 1):
            setattr(body, f"final_conv_0_{index}", nn.Identity())
        super().__init__(input_channels, body, size_multiple=(2 ** (N_LEVELS - 1),) * spatial_dims)

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, *spatial)."""
        # MONAI returns a list of one.
        logits: Tensor = self.decoder(self.body(x)[0])
        return logits

    def check_images(self, x: Tensor) -> None:
        """Refuse what no network takes, and images that have a single position at the deepest level."""
        super().check_images(x)
        require_two_positions("MonaiUnetPlusPlus", x.shape[2:], self.size_multiple)


class MonaiSwinUNETR(LibraryNetwork):
    """Segment images or volumes of any size; attention within windows that shift from block to block encodes.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        feature_size: channels of the first stage, a multiple of 12.
        depths: blocks of the encoder's four stages.
        n_heads: of their attention.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    library_head = "out"
    # MONAI rounds the number of windows up as a number of Python.
    traces_any_size = False

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        feature_size: int = 24,
        depths: Sequence[int] = (2, 2, 2, 2),
        n_heads: Sequence[int] = (3, 6, 12, 24),
        spatial_dims: int = 2,
    ) -> None:
        owner = "MonaiSwinUNETR"
        _require_usual(owner, input_channels, num_classes, spatial_dims)
        _require_numbers(owner, "depths", depths, n=N_SWIN_STAGES)
        _require_numbers(owner, "n_heads", n_heads, n=N_SWIN_STAGES)
        if not is_whole(feature_size) or feature_size < 1 or feature_size % SWIN_UNIT:
            raise ValueError(
                f"{owner}: feature_size={feature_size!r}, expected a multiple of {SWIN_UNIT}; pass such as 24 or 48"
            )
        for stage, heads in enumerate(n_heads):
            if (width := feature_size * 2**stage) % heads:
                raise ValueError(
                    f"{owner}: n_heads[{stage}]={heads} for {width} channels, expected a divisor; pass such as 3"
                )
        body = built_with_numbers(
            lambda: _monai(
                "SwinUNETR",
                in_channels=input_channels,
                out_channels=num_classes,
                feature_size=feature_size,
                depths=tuple(depths),
                num_heads=tuple(n_heads),
                spatial_dims=spatial_dims,
            )
        )
        super().__init__(input_channels, body, size_multiple=(SWIN_STRIDE,) * spatial_dims)

    def check_images(self, x: Tensor) -> None:
        """Refuse what no network takes, and images that have a single position at the deepest stage."""
        super().check_images(x)
        require_two_positions("MonaiSwinUNETR", x.shape[2:], self.size_multiple)


class MonaiUNETR(OneSizeNetwork):
    """Segment images or volumes of one size; a vision transformer with a weight for every position encodes.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        input_size: of every image, one number per axis.
        feature_size: channels of the decoder's last map.
        hidden_size: width of the transformer.
        mlp_dim: width within its MLPs.
        n_heads: of its attention.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    library_head = "out"
    published_unused = r"vit\.blocks\.\d+\.(norm_)?cross_attn\."

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        input_size: Sequence[int],
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        n_heads: int = 12,
        spatial_dims: int = 2,
    ) -> None:
        owner = "MonaiUNETR"
        _require_usual(owner, input_channels, num_classes, spatial_dims)
        sizes = {"feature_size": feature_size, "hidden_size": hidden_size, "mlp_dim": mlp_dim}
        require_positive(owner, **sizes, n_heads=n_heads)
        if hidden_size % n_heads:
            raise ValueError(
                f"{owner}: hidden_size={hidden_size} for n_heads={n_heads}, expected a multiple; nearest is "
                f"{max(1, round(hidden_size / n_heads)) * n_heads}"
            )
        padded = padded_size(owner, input_size, multiple=PATCH_SIZE, spatial_dims=spatial_dims)
        body = _monai(
            "UNETR",
            in_channels=input_channels,
            out_channels=num_classes,
            img_size=padded,
            num_heads=n_heads,
            spatial_dims=spatial_dims,
            **sizes,
        )
        for block in body.vit.blocks:
            # Some versions have weights for another sequence here, which this network does not see.
            block.norm_cross_attn, block.cross_attn = nn.Identity(), nn.Identity()
        super().__init__(input_channels, body, input_size=input_size, multiple=PATCH_SIZE)

    @classmethod
    def axes_named_by(cls, arguments: Mapping[str, Any]) -> int | None:
        """Return the number of axes that the input size has, None if there is none."""
        return named_axes(arguments, per_axis=("input_size",))


def _monai(name: str, **arguments: Any) -> Any:
    """Build a network of MONAI."""
    from monai.networks import nets

    return getattr(nets, name)(**arguments)


def _require_usual(owner: str, input_channels: int, num_classes: int, spatial_dims: int) -> None:
    require_positive(owner, input_channels=input_channels, num_classes=num_classes)
    require_spatial_dims(owner, spatial_dims)


def _require_numbers(owner: str, name: str, values: Sequence[int], *, n: int | None = None) -> None:
    """Refuse what is not whole numbers of at least 1, ``n`` of them if it is given."""
    require_sequence(owner, name, values, of="whole numbers")
    if len(values) != (len(values) if n is None else n) or not all(is_whole(each) and each >= 1 for each in values):
        count = "" if n is None else f"{n} "
        raise ValueError(f"{owner}: {name}={tuple(values)}, expected {count}whole numbers of at least 1; pass as many")
