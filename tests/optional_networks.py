"""Networks whose packages are optional: skipped where these are missing, and small where their size does not matter."""

from dataclasses import replace

import pytest

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.networks.catalogue import missing_packages
from nnunet_mamba.presets import PRESETS, Preset
from nnunet_mamba.training.generated_trainers import load_trainer

# Networks of timm that its own tests are made for, with less than a million weights.
_TINY_ENCODER, _TINY_TRANSFORMER = "tu-test_efficientnet", "tu-test_vit"
_U_NET = {2: {"encoder": _TINY_ENCODER, "decoder_channels": (16, 8, 8, 8, 8)}}
_LEVELS = {"features_per_stage": (4, 4, 4, 4, 8)}
_SWIN = {"feature_size": 12, "depths": (2, 1, 1, 1), "n_heads": (2, 2, 2, 2)}
_UNETR = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "n_heads": 2}
SMALL = {
    "SmpUnet": _U_NET,
    "SmpUnetPlusPlus": _U_NET,
    "SmpSegformer": {2: {"encoder": "mit_b0", "decoder_channels": 16}},
    "SmpDPT": {2: {"encoder": _TINY_TRANSFORMER, "token_channels": (8, 8, 16, 16), "decoder_channels": 8}},
    "MonaiAttentionUnet": {dims: {"features_per_stage": (4, 8, 8, 16)} for dims in (2, 3)},
    "MonaiUnetPlusPlus": {dims: {**_LEVELS, "last_features": 4} for dims in (2, 3)},
    "MonaiSwinUNETR": dict.fromkeys((2, 3), _SWIN),
    "MonaiUNETR": dict.fromkeys((2, 3), _UNETR),
}


def with_small_sizes(preset: Preset) -> Preset:
    """The preset, small if it is one of a library's networks."""
    small = SMALL.get(preset.network.partition(":")[2], {})
    sizes = (replace(size, arguments={**size.arguments, **small.get(size.spatial_dims, {})}) for size in preset.sizes)
    return replace(preset, sizes=tuple(sizes))


def lacking(preset: Preset) -> list:
    """The mark that skips a test of this network where its packages are missing."""
    missing = missing_packages(preset)
    return [pytest.mark.skip(reason=f"needs {' and '.join(missing)}")] if missing else []


def all_presets() -> list:
    """All presets, by their names."""
    return [pytest.param(preset, marks=lacking(preset), id=name) for name, preset in PRESETS.items()]


def all_trainers() -> list:
    """The names of all trainers."""
    return [pytest.param(name, marks=lacking(load_trainer(name).preset)) for name in trainer_names()]


def installed_trainers() -> list[str]:
    """The names of the trainers whose packages are installed."""
    return [name for name in trainer_names() if not missing_packages(load_trainer(name).preset)]
