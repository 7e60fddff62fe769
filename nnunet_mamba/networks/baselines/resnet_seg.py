"""ResNets as the tumour papers compare with them: torchvision's encoder, and transposed convolutions as the decoder.

The published code begins with ImageNet weights. Here all weights begin at random, and nothing is downloaded; a file of
torchvision's weights is taken by ``nnunet-mamba import-weights``.

Source: Crews and Whalen 2024, "Mamba-Based Tumor Segmentation", table I; He et al. 2016, arXiv:1512.03385.
"""

import re
from collections import OrderedDict
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_flags, require_numbers
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork, WeightsOrigin

if TYPE_CHECKING:
    from torchvision.models.resnet import ResNet

N_STAGES = 4
COLOURS = 3
# Of the encoder, all of it in powers of 2.
TOTAL_STRIDE = 32
# Blocks per stage and whether they are bottlenecks, of torchvision's networks, and the names of ours.
_OURS = {((2, 2, 2, 2), False): "resnet18_seg", ((3, 4, 6, 3), True): "resnet50_seg"}


class ResNetSeg(SegmentationNetwork):
    """Segment images of any height and width; the logits of half the size are interpolated.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        blocks_per_stage: residual blocks of the encoder's four stages.
        bottleneck: whether these are the blocks of ResNet-50, whose maps have four times the channels, or those of
            ResNet-18.
        decoder_channels: of the decoder's three transposed convolutions before the one that makes the logits.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        blocks_per_stage: Sequence[int] = (2, 2, 2, 2),
        bottleneck: bool = False,
        decoder_channels: Sequence[int] = (256, 128, 64),
    ) -> None:
        require_positive("ResNetSeg", input_channels=input_channels, num_classes=num_classes)
        require_flags("ResNetSeg", bottleneck=bottleneck)
        require_numbers("ResNetSeg", "blocks_per_stage", blocks_per_stage, of="numbers of blocks", count=N_STAGES)
        require_numbers("ResNetSeg", "decoder_channels", decoder_channels, of="channel numbers", count=N_STAGES - 1)
        super().__init__(input_channels, size_multiple=(TOTAL_STRIDE,) * 2, output_reductions=((1, 1),))
        resnet = _resnet(blocks_per_stage, bottleneck=bottleneck)
        if input_channels != COLOURS:
            resnet.conv1 = nn.Conv2d(input_channels, resnet.conv1.out_channels, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
        deepest = resnet.fc.in_features
        # Under torchvision's names; the last two layers are the classification's pooling and head.
        self.encoder = nn.Sequential(OrderedDict(list(resnet.named_children())[:-2]))
        self.decoder = Decoder((deepest, *decoder_channels), num_classes)

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        logits = self.decoder(self.encoder(x))
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear")

    @classmethod
    def recognise_weights(cls, names: Collection[str], *, network: type[nn.Module]) -> WeightsOrigin | None:
        """Return which of our networks a ResNet's classification weights may begin, if they are such weights."""
        if not _layers(names):
            return None
        text = "These look like the weights of a ResNet for classification"
        for (blocks, bottleneck), ours in _OURS.items():
            with torch.device("meta"):
                known = _resnet(blocks, bottleneck=bottleneck).state_dict()
            if _layers(names) == _layers(known):
                return WeightsOrigin(text, networks=(ours,))
        return WeightsOrigin(f"{text} of another depth; ours begin with those of ResNet-18 and ResNet-50")

    def is_backbone(self, names: Collection[str]) -> bool:
        """Return whether weights with these names are those of a ResNet for classification, of the same depth."""
        return _layers(names) == _layers(self.encoder.state_dict())

    def backbone_name(self, name: str) -> str | None:
        """Return torchvision's name of the weights that the parameter ``name`` begins with; a decoder has none."""
        return name.removeprefix("encoder.") if name.startswith("encoder.") else None


class Decoder(nn.Module):
    """Double the size four times by transposed convolutions, with a ReLU between two; the last one is the head.

    Args:
        widths: channels of the encoder's map and of all maps after it.
        num_classes: channels of the logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.upsample_layers = nn.ModuleList(_doubling(before, width) for before, width in pairwise(widths))
        self.seg_layers = nn.ModuleList([_doubling(widths[-1], num_classes)])

    def forward(self, x: Tensor) -> Tensor:
        """Turn the encoder's map (b, c, h, w) into logits (b, num_classes, 16 h, 16 w)."""
        for upsample in self.upsample_layers:
            x = functional.relu(upsample(x), inplace=True)
        logits: Tensor = self.seg_layers[0](x)
        return logits


def _resnet(blocks_per_stage: Sequence[int], *, bottleneck: bool) -> "ResNet":
    # Here: networks are imported, and their contract is read, where there is nothing but torch.
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    return ResNet(Bottleneck if bottleneck else BasicBlock, list(blocks_per_stage))


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)


def _layers(names: Collection[str]) -> set[str]:
    """Return the names of the weights of a ResNet's four stages."""
    return {name for name in names if re.match(r"layer[1-4]\..*\.weight$", name)}
