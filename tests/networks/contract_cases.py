"""Every network of the catalogue, for images and for volumes, small where its size does not matter."""

from collections.abc import Collection
from dataclasses import dataclass

import pytest
import torch
from optional_networks import SMALL as SMALL_OF_LIBRARIES
from optional_networks import lacking

from nnunet_mamba import create_network
from nnunet_mamba.networks.catalogue import network_class
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.presets import PRESETS, Preset

CHANNELS, CLASSES = 2, 3
# No axis is a multiple of what a network pads it to, if it pads it, and all deepest maps have several positions.
ODD = {2: (33, 47), 3: (5, 17, 23)}
ODD_OF_CLASS = {("MonaiSwinUNETR", 3): (5, 17, 35)}
# Their least volumes take minutes where half precision is slow.
LONG = {"monai_swin_unetr-3d", "monai_unet_plus_plus-3d"}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

# Arguments that make a network small where its size does not matter; a class that is not here has the published size.
_COMPACT = {
    2: {"channels": (8, 8, 16, 16)},
    3: {"channels": (8, 8, 16, 16), "strides": ((1, 2, 2), (2, 2, 2), (2, 2, 2))},
}
_STAGES = {
    2: {"features_per_stage": (4, 8, 16), "kernel_sizes": 3, "strides": (1, 2, 2)},
    3: {
        "features_per_stage": (4, 8, 16),
        "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    },
}
SMALL = {
    "UltraLightVMUNet": _COMPACT,
    "UltraLBMUNet": _COMPACT,
    "MALUNet": _COMPACT,
    "EGEUNet": _COMPACT,
    "VMUNet": {2: {"dims": (8, 16, 32), "depths": (1, 1, 1), "depths_decoder": (1, 1, 1)}},
    "UNetTumour": {2: {"features_per_stage": (4, 8, 16)}},
    # torchvision fixes the channels of its stages.
    "ResNetSeg": {2: {"blocks_per_stage": (1, 1, 1, 1), "decoder_channels": (8, 8, 8)}},
    "SegFormerTumour": {
        2: {"dims": (8, 16, 16, 32), "depths": (1, 1, 1, 1), "n_heads": (1, 2, 2, 4), "decoder_channels": 8}
    },
    "UNeXt": {2: {"channels": (4, 8, 8, 16, 16)}},
    "ULite": {2: {"channels": (4, 4, 8, 8, 8, 16)}},
    "CMUNeXt": {2: {"channels": (4, 8, 8, 8, 16)}},
    "LightMUNet": {2: {"base_filters": 8, "blocks_per_stage": (1, 1, 1, 1)}},
    **dict.fromkeys(("UMambaBot", "UMambaEnc", "UMambaNoMamba", "UMambaBotTumour"), _STAGES),
    **SMALL_OF_LIBRARIES,
}


@dataclass(frozen=True)
class Case:
    """A network for images or for volumes."""

    preset: Preset
    dims: int

    @property
    def class_name(self) -> str:
        return self.preset.network.partition(":")[2]

    @property
    def has_one_size(self) -> bool:
        """Whether its weights belong to one size of images."""
        return "input_size" in self.preset.planned(self.dims)

    @property
    def offers_deep_supervision(self) -> bool:
        return network_class(self.preset).offers_deep_supervision()

    @property
    def odd(self) -> tuple[int, ...]:
        return ODD_OF_CLASS.get((self.class_name, self.dims), ODD[self.dims])

    def build(
        self, size: tuple[int, ...] | None = None, *, num_classes: int = CLASSES, **options
    ) -> SegmentationNetwork:
        """Return a small one with the same weights every time."""
        torch.manual_seed(0)
        tied = {"input_size": size or self.odd} if self.has_one_size else {}
        small = SMALL.get(self.class_name, {}).get(self.dims, {})
        return create_network(
            self.preset.name, CHANNELS, num_classes, spatial_dims=self.dims, **small, **tied, **options
        ).eval()

    def build_with_all_heads(self, size: tuple[int, ...] | None = None) -> SegmentationNetwork:
        """Return a small one with all heads that it can have; it returns a list if it can have several."""
        return self.build(size, **({"deep_supervision": True} if self.offers_deep_supervision else {}))

    def images(self, *size: int, batch: int = 2) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(batch, CHANNELS, *(size or self.odd), generator=generator)


CASES = {f"{name}-{dims}d": Case(preset, dims) for name, preset in PRESETS.items() for dims in preset.spatial_dims}


def _one_of_each_class(dims: int) -> set[str]:
    ours = {name: case for name, case in CASES.items() if case.dims == dims and not case.preset.requires}
    return set({case.class_name: name for name, case in reversed(ours.items())}.values())


# What takes long runs in quick tests for one network of each class of ours, for images.
QUICK = _one_of_each_class(2)


def in_tiers(*, quick: Collection[str] = ()) -> list:
    """Return all cases: of each class of ours one for images, one for volumes that is slow, and the rest long.

    Args:
        quick: further cases that are not slow.
    """
    tiers = {name: [pytest.mark.long] for name in CASES}
    tiers |= {name: [pytest.mark.slow] for name in _one_of_each_class(3)}
    tiers |= {name: [] for name in {*QUICK, *quick}}
    return [pytest.param(name, marks=[*tiers[name], *lacking(CASES[name].preset)]) for name in CASES]


def in_slower_tiers() -> list:
    """Return all cases: of each class of ours one for images that is slow, and the rest long."""
    tiers = {name: pytest.mark.slow if name in QUICK else pytest.mark.long for name in CASES}
    return [pytest.param(name, marks=[tier, *lacking(CASES[name].preset)]) for name, tier in tiers.items()]


def all_cases() -> list:
    """Return all cases, skipped where an optional package is missing."""
    long = {name: [pytest.mark.long] if name in LONG else [] for name in CASES}
    return [pytest.param(name, marks=[*long[name], *lacking(case.preset)]) for name, case in CASES.items()]


def listed(result):
    return result if isinstance(result, list) else [result]


def assert_near(results, expected, tolerance):
    """Compare logits with a tolerance that is relative to the largest of them."""
    for ours, theirs in zip(listed(results), listed(expected), strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) <= tolerance * float(theirs.abs().max())
