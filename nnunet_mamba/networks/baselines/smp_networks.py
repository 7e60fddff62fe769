"""U-Net, UNet++, SegFormer and DPT of segmentation-models-pytorch, with any of its encoders.

Encoders begin at random, whatever the library would download for them. The library is imported when a network is
built.

Source: github.com/qubvel-org/segmentation_models.pytorch; Ronneberger et al. 2015, arXiv:1505.04597; Zhou et al. 2018,
arXiv:1807.10165; Xie et al. 2021, arXiv:2105.15203; Ranftl et al. 2021, arXiv:2103.13413.
"""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from nnunet_mamba.blocks.arguments import is_whole, require_sequence
from nnunet_mamba.networks.baselines.library_network import (
    LibraryNetwork,
    OneSizeNetwork,
    built_with_numbers,
    padded_size,
)
from nnunet_mamba.networks.input_images import require_positive

# The library's name for encoders of timm.
TIMM = "tu-"
# Stages of the encoders and of the U-Nets' decoders.
N_STAGES = 5
# Of DPT: maps of four blocks of the encoder, whose patches have 16×16 pixels; the coarsest is half as large again.
N_TOKEN_MAPS = 4
PATCH_SIZE = 16
DPT_STRIDE = 32


class SmpNetwork(LibraryNetwork):
    """An encoder, a decoder and a head of the library.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        architecture: the library's name of the whole.
        encoder: the library's name of the encoder.
        options: of the architecture, checked already.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    library_head = "segmentation_head"

    def __init__(
        self, input_channels: int, num_classes: int, *, architecture: str, encoder: str, options: dict[str, Any]
    ) -> None:
        owner = type(self).__name__
        require_positive(owner, input_channels=input_channels, num_classes=num_classes)
        _require_encoder(owner, encoder)
        arguments = {"encoder_name": encoder, "in_channels": input_channels, "classes": num_classes, **options}
        body = _built_and_tried(owner, encoder, architecture, arguments)
        super().__init__(input_channels, body, size_multiple=(body.encoder.output_stride,) * 2)

    def is_backbone(self, names: Collection[str]) -> bool:
        """Return whether weights with these names are those of the encoder, as a classification network has them."""
        return _without_counters(self.body.encoder.state_dict()) <= set(names)

    def backbone_name(self, name: str) -> str | None:
        """Return the classification network's name of the weights that the parameter ``name`` begins with."""
        return name.removeprefix("encoder.") if name.startswith("encoder.") else None


class SmpUnet(SmpNetwork):
    """Segment images of any height and width by U-Net with an encoder of the library.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        encoder: the library's name of it, such as "resnet18", "resnet50" or "efficientnet-b0", or "tu-" and timm's of a
            network that halves images of any size five times.
        decoder_channels: of the decoder's five stages, lowest resolution first.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        encoder: str = "resnet18",
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        _require_channels("SmpUnet", "decoder_channels", decoder_channels, n=N_STAGES)
        options = {"decoder_channels": tuple(decoder_channels)}
        super().__init__(input_channels, num_classes, architecture="Unet", encoder=encoder, options=options)


class SmpUnetPlusPlus(SmpNetwork):
    """Segment images of any height and width by UNet++ with an encoder of the library.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        encoder: the library's name of it, such as "resnet18" or "resnet50", or "tu-" and timm's; not one whose first
            map has a quarter of the resolution, such as "mit_b1".
        decoder_channels: of the decoder's five stages, lowest resolution first.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        encoder: str = "resnet18",
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        _require_channels("SmpUnetPlusPlus", "decoder_channels", decoder_channels, n=N_STAGES)
        if isinstance(encoder, str) and encoder.startswith("mit_"):
            raise ValueError(
                f"SmpUnetPlusPlus: encoder={encoder!r} has no map of half the resolution, which UNet++ needs; choose "
                f"such as 'resnet18', or SmpUnet"
            )
        options = {"decoder_channels": tuple(decoder_channels)}
        super().__init__(input_channels, num_classes, architecture="UnetPlusPlus", encoder=encoder, options=options)


class SmpSegformer(SmpNetwork):
    """Segment images of any height and width by SegFormer; logits of a quarter of the size are interpolated.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        encoder: the library's name of it; "mit_b0" to "mit_b5" are those of SegFormer's paper.
        decoder_channels: to which the maps of all stages are brought.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self, input_channels: int, num_classes: int, *, encoder: str = "mit_b1", decoder_channels: int = 256
    ) -> None:
        require_positive("SmpSegformer", decoder_channels=decoder_channels)
        options = {"decoder_segmentation_channels": decoder_channels}
        super().__init__(input_channels, num_classes, architecture="Segformer", encoder=encoder, options=options)


class SmpDPT(OneSizeNetwork):
    """Segment images of one size by DPT, with a vision transformer; logits of half the size are interpolated.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        input_size: of every image, one number per axis.
        encoder: "tu-" and timm's name of a vision transformer with patches of 16×16 pixels.
        token_channels: of the maps that are made of the tokens of four blocks, highest resolution first.
        decoder_channels: to which these are brought.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    library_head = "segmentation_head"
    # Of timm's transformer, for classification.
    published_unused = r"encoder\.model\.(norm|fc_norm|head)\."

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        input_size: Sequence[int],
        encoder: str = "tu-vit_small_patch16_224",
        token_channels: Sequence[int] = (256, 512, 1024, 1024),
        decoder_channels: int = 256,
    ) -> None:
        require_positive("SmpDPT", input_channels=input_channels, num_classes=num_classes)
        require_positive("SmpDPT", decoder_channels=decoder_channels)
        padded = padded_size("SmpDPT", input_size, multiple=DPT_STRIDE, spatial_dims=2)
        _require_channels("SmpDPT", "token_channels", token_channels, n=N_TOKEN_MAPS)
        _require_transformer("SmpDPT", encoder)
        arguments = {
            "encoder_name": encoder,
            "in_channels": input_channels,
            "classes": num_classes,
            "decoder_intermediate_channels": tuple(token_channels),
            "decoder_fusion_channels": decoder_channels,
            # For timm: weights of positions for this size alone, and no head for classification.
            "img_size": padded,
            "num_classes": 0,
        }
        body: Any = built_with_numbers(lambda: _build("DPT", arguments))
        # The last norm is for classification, too.
        body.encoder.model.norm = nn.Identity()
        super().__init__(input_channels, body, input_size=input_size, multiple=DPT_STRIDE)


def _build(architecture: str, arguments: dict[str, Any]) -> Any:
    """Build a network of the library, which would download weights if it were not told otherwise."""
    import segmentation_models_pytorch

    return getattr(segmentation_models_pytorch, architecture)(encoder_weights=None, **arguments)


def _built_and_tried(owner: str, encoder: str, architecture: str, arguments: dict[str, Any]) -> Any:
    """Build a network of the library, and let it segment an image if its encoder is timm's.

    The library takes any name of timm and fails where the encoder is built or used: some of these networks are for
    images of one size, others have no maps of ever lower resolution.
    """
    if not encoder.startswith(TIMM):
        return built_with_numbers(lambda: _build(architecture, arguments))
    try:
        body: Any = built_with_numbers(lambda: _build(architecture, arguments))
        stride = body.encoder.output_stride
        device = next(body.parameters()).device
        with torch.no_grad():
            body.eval()(torch.zeros(1, arguments["in_channels"], 2 * stride, 3 * stride, device=device))
    except (ValueError, RuntimeError, AssertionError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(
            f"{owner}: encoder={encoder!r} cannot encode images of any size in {N_STAGES} halvings, or not with these "
            f"arguments ({error}); choose such as 'resnet18' or 'tu-resnet18'"
        ) from error
    return body.train()


def _require_encoder(owner: str, encoder: str) -> None:
    """Refuse what is no encoder of the library or of timm."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    known = list(get_encoder_names())
    if isinstance(encoder, str) and (encoder in known or _is_of_timm(encoder)):
        return
    alike = get_close_matches(str(encoder), [*known, *(TIMM + name for name in timm.list_models())], n=1)
    meant = f"did you mean {alike[0]!r}? " if alike else ""
    raise ValueError(
        f"{owner}: encoder={encoder!r} is no encoder of segmentation-models-pytorch; {meant}Choose such as 'resnet18', "
        f"'resnet50', 'efficientnet-b0' or 'mit_b1', or 'tu-' and the name of a network of timm"
    )


def _require_transformer(owner: str, encoder: str) -> None:
    """Refuse what is no vision transformer of timm with patches of 16×16 pixels."""
    import timm

    if isinstance(encoder, str) and _is_of_timm(encoder):
        with torch.device("meta"):
            transformer: Any = built_with_numbers(
                lambda: timm.create_model(encoder.removeprefix(TIMM), pretrained=False)
            )
        patches = getattr(transformer, "patch_embed", None)
        if getattr(patches, "patch_size", None) == (PATCH_SIZE, PATCH_SIZE):
            return
    raise ValueError(
        f"{owner}: encoder={encoder!r} is no vision transformer with patches of {PATCH_SIZE}×{PATCH_SIZE} pixels; "
        f"choose such as 'tu-vit_tiny_patch16_224', 'tu-vit_small_patch16_224' or 'tu-vit_base_patch16_224'"
    )


def _is_of_timm(encoder: str) -> bool:
    import timm

    return encoder.startswith(TIMM) and bool(timm.is_model(encoder.removeprefix(TIMM)))


def _require_channels(owner: str, name: str, channels: Sequence[int], *, n: int) -> None:
    """Refuse what is not ``n`` whole numbers of at least 1."""
    require_sequence(owner, name, channels, of="channel numbers")
    if len(channels) != n or not all(is_whole(value) and value >= 1 for value in channels):
        raise ValueError(f"{owner}: {name}={tuple(channels)}, expected {n} channel numbers of at least 1; pass as many")


def _without_counters(names: Collection[str]) -> set[str]:
    """Return the names but for those of the batches that a norm has seen, which old files lack."""
    return {name for name in names if not name.endswith(".num_batches_tracked")}
