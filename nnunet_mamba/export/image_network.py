"""Networks as one module from the pixels of images to logits and probabilities, in operations that ONNX has."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
        has_fixed_size: whether the networks take one size only, to whose multiple they pad themselves.
    """

    def __init__(
        self,
        networks: Sequence[SegmentationNetwork],
        normalizations: Sequence[Normalization],
        *,
        has_regions: bool,
        has_fixed_size: bool = False,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._normalizations = tuple(normalizations)
        self._has_regions = has_regions
        self._has_fixed_size = has_fixed_size

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, (b, heads, h, w) each.

        Args:
            image: (b, c, h, w), float32, both sizes multiples of the network's ``size_multiple``, or the fixed ones.
        """
        normalized = self._normalized(image)
        logits = self._logits(self.networks[0], normalized)
        for network in self.networks[1:]:
            logits = logits + self._logits(network, normalized)
        if len(self.networks) > 1:
            logits = logits / len(self.networks)
        return logits, torch.sigmoid(logits) if self._has_regions else torch.softmax(logits, dim=1)

    def _normalized(self, image: Tensor) -> Tensor:
        if not self._normalizations:
            return image
        if all(one.scheme == self._normalizations[0].scheme for one in self._normalizations[1:]) and not any(
            one.scheme == "CTNormalization" for one in self._normalizations
        ):
            return _normalized(image, self._normalizations[0])
        channels = torch.split(image, 1, dim=1)
        return torch.cat([_normalized(x, one) for x, one in zip(channels, self._normalizations, strict=True)], dim=1)

    def _logits(self, network: nn.Module, image: Tensor) -> Tensor:
        assert isinstance(network, SegmentationNetwork)
        # The padding of the network itself asks for the sizes, which makes them constants.
        logits = network(image) if self._has_fixed_size else network.segment(image)
        assert isinstance(logits, Tensor)
        return logits


def _normalized(x: Tensor, normalization: Normalization) -> Tensor:
    """Return channels (b, c, h, w) in nnU-Net's scale; every channel of every image by itself."""
    scheme = normalization.scheme
    if scheme == "ZScoreNormalization":
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        # Not Tensor.std, which ONNX has not, either.
        spread = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
        return centred / spread.clamp(min=_EPS)
    if scheme == "CTNormalization":
        known = normalization.intensities
        clipped = x.clamp(known["percentile_00_5"], known["percentile_99_5"])
        return (clipped - known["mean"]) / max(known["std"], _EPS)
    if scheme == "RescaleTo01Normalization":
        lowest = x - x.amin(dim=(2, 3), keepdim=True)
        return lowest / lowest.amax(dim=(2, 3), keepdim=True).clamp(min=_EPS)
    if scheme == "RGBTo01Normalization":
        return x / 255.0
    if scheme == "NoNormalization":
        return x
    raise ValueError(f"normalization {scheme!r} cannot be exported; expected one of nnU-Net's own five")
