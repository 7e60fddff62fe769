"""Networks as one module from the pixels of images to logits and probabilities, in operations that ONNX has."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnunet_mamba.export.content import content_of
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.prediction.plan import Normalization

# nnU-Net's own, which keeps it from dividing by zero.
_EPS = 1e-8


class ImageNetwork(nn.Module):
    """Normalise images as nnU-Net does, average the logits of networks, and take their probabilities.

    Args:
        networks: of one architecture.
        normalizations: one for each channel; none for images that are normalised already.
        has_regions: whether every head is a region.
        has_fixed_size: whether the module takes one size only, which the networks pad themselves where it is no
            multiple of theirs.
        cuts_margin: whether a margin that is 0 in all channels is left out and is background, as nnU-Net has it for
            whole images.
    """

    def __init__(
        self,
        networks: Sequence[SegmentationNetwork],
        normalizations: Sequence[Normalization],
        *,
        has_regions: bool,
        has_fixed_size: bool = False,
        cuts_margin: bool = False,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._normalizations = tuple(normalizations)
        self._has_regions = has_regions
        self._has_fixed_size = has_fixed_size
        self._cuts_margin = cuts_margin

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, (b, heads, h, w) each.

        Args:
            image: (b, c, h, w), float32, both sizes multiples of the network's ``size_multiple``, or the fixed ones.
        """
        if self._cuts_margin:
            content = content_of(image)
            where = content.moved(content.where)
            logits = self._averaged(self._normalized(content.moved(image), where))
            logits = content.logits(logits, has_regions=self._has_regions)
        else:
            logits = self._averaged(self._normalized(image, None))
        return logits, torch.sigmoid(logits) if self._has_regions else torch.softmax(logits, dim=1)

    def _averaged(self, normalized: Tensor) -> Tensor:
        logits = self._logits(self.networks[0], normalized)
        for network in self.networks[1:]:
            logits = logits + self._logits(network, normalized)
        return logits / len(self.networks) if len(self.networks) > 1 else logits

    def _normalized(self, image: Tensor, where: Tensor | None) -> Tensor:
        """Return images on nnU-Net's scale, and 0 outside of ``where``, (b, 1, h, w)."""
        if not self._normalizations:
            return image
        if all(one.scheme == self._normalizations[0].scheme for one in self._normalizations[1:]) and not any(
            one.scheme == "CTNormalization" for one in self._normalizations
        ):
            return _normalized(image, self._normalizations[0], where)
        channels = torch.split(image, 1, dim=1)
        found = [_normalized(x, one, where) for x, one in zip(channels, self._normalizations, strict=True)]
        return torch.cat(found, dim=1)

    def _logits(self, network: nn.Module, image: Tensor) -> Tensor:
        assert isinstance(network, SegmentationNetwork)
        # The padding of the network itself asks for the sizes, which makes them constants.
        logits = network(image) if self._has_fixed_size else network.segment(image)
        assert isinstance(logits, Tensor)
        return logits


def _normalized(x: Tensor, normalization: Normalization, where: Tensor | None) -> Tensor:
    """Return channels (b, c, h, w) in nnU-Net's scale; every channel of every image by itself.

    Args:
        x: channels of one scheme, 0 outside of ``where``.
        normalization: the scheme.
        where: (b, 1, h, w), which pixels count; others become 0. None for all.
    """
    scheme = normalization.scheme
    if scheme == "ZScoreNormalization":
        return _z_scores(x, where)
    if scheme == "CTNormalization":
        known = normalization.intensities
        clipped = x.clamp(known["percentile_00_5"], known["percentile_99_5"])
        return _inside((clipped - known["mean"]) / max(known["std"], _EPS), where)
    if scheme == "RescaleTo01Normalization":
        counted = x if where is None else torch.where(where, x, torch.finfo(x.dtype).max)
        above_lowest = _inside(x - counted.amin(dim=(2, 3), keepdim=True), where)
        return above_lowest / above_lowest.amax(dim=(2, 3), keepdim=True).clamp(min=_EPS)
    if scheme == "RGBTo01Normalization":
        return x / 255.0
    if scheme == "NoNormalization":
        return x
    raise ValueError(f"normalization {scheme!r} cannot be exported; expected one of nnU-Net's own five")


def _z_scores(x: Tensor, where: Tensor | None) -> Tensor:
    # Not Tensor.std, which ONNX has not, either.
    n_pixels = x.shape[2] * x.shape[3] if where is None else _sum(where.to(x.dtype))
    centred = _inside(x - _sum(x) / n_pixels, where)
    return centred / (_sum(centred.square()) / n_pixels).sqrt().clamp(min=_EPS)


def _sum(x: Tensor) -> Tensor:
    """Return the sums of maps, (b, c, 1, 1), of rows first: onnxruntime loses digits in a single long sum."""
    return x.sum(dim=3, keepdim=True).sum(dim=2, keepdim=True)


def _inside(x: Tensor, where: Tensor | None) -> Tensor:
    return x if where is None else torch.where(where, x, 0.0)
