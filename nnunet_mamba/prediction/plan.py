"""What nnU-Net's plans and dataset.json say about predicting with one configuration, checked before use."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnunet_mamba.data.formats.dataset_json import IGNORE, dataset_json_in
from nnunet_mamba.results.plans import inherited

# What our own arithmetic stands for; anything else is nnU-Net's to do.
_PREPROCESSOR, _LABEL_MANAGER, _RESAMPLING = "DefaultPreprocessor", "LabelManager", "resample_data_or_seg_to_shape"
SCHEMES = (
    "ZScoreNormalization",
    "CTNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
)
_OF_CT = ("mean", "std", "percentile_00_5", "percentile_99_5")


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """How the values of one channel are brought to a common scale.

    Args:
        scheme: nnU-Net's name for it.
        uses_mask: whether only what lies inside the nonzero mask counts, and is changed.
        intensities: of the training data's foreground; empty where the plans have none.
    """

    scheme: str
    uses_mask: bool = False
    intensities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What the channels of a network's logits mean.

    Args:
        n_heads: channels of the logits: labels with the background, or regions.
        region_values: the value that each region has in a label map, a later one over an earlier one; empty for labels.
        n_foreground: how many labels there are besides the background.
    """

    n_heads: int
    region_values: tuple[int, ...] = ()
    n_foreground: int = 1


@dataclass(frozen=True, kw_only=True)
class PredictionPlan:
    """One configuration, as far as it decides a prediction.

    Args:
        configuration: its name.
        patch_size: pixels or voxels per axis, which are those of the network's input.
        spacing: mm per pixel or voxel, along the same axes.
        transpose_forward: the order in which nnU-Net takes the axes (z, y, x) of an image.
        normalizations: one for each channel.
        heads: of the network.
        needs_nnunet: why only nnU-Net's own functions can do it; None if ours can.
    """

    configuration: str
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    transpose_forward: tuple[int, ...]
    normalizations: tuple[Normalization, ...]
    heads: Heads
    needs_nnunet: str | None

    @property
    def is_2d(self) -> bool:
        """Whether the network sees single slices."""
        return len(self.patch_size) == 2

    @property
    def transpose_backward(self) -> tuple[int, ...]:
        """The order that undoes ``transpose_forward``."""
        return tuple(self.transpose_forward.index(axis) for axis in range(len(self.transpose_forward)))


def read_prediction_plan(
    plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any], *, where: str
) -> PredictionPlan:
    """Return what plans say about predicting.

    Args:
        plans: nnU-Net's plans.json.
        configuration: "2d", "3d_fullres", …
        dataset_json: of the training data.
        where: what to call the model in errors.

    Raises:
        ValueError: an entry is missing or makes no sense, or the configuration continues what another one has
            predicted; says so.
    """
    configurations = plans.get("configurations")
    if not isinstance(configurations, Mapping):
        raise ValueError(f"{where}: the plans have no configurations, expected nnU-Net's plans")
    try:
        entries = inherited(configurations, configuration)
        labels = dataset_json_in(dataset_json).labels
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if entries.get("previous_stage") is not None:
        raise ValueError(
            f"{where}: {configuration} starts from what {entries['previous_stage']!r} has predicted; "
            "predict with nnUNetv2_predict, or with another configuration"
        )
    read = _Reader(where)
    patch_size = tuple(int(size) for size in read.numbers(entries, "patch_size", lengths=(2, 3)))
    numbers = sorted({value for value in labels.in_label_maps if value != labels.values.get(IGNORE)})
    if not labels.has_regions and numbers != list(range(len(numbers))):
        raise ValueError(
            f"{where}: dataset.json has the labels {numbers}, expected 0, 1, 2, … without gaps, as nnU-Net has them"
        )
    spacing = tuple(read.numbers(entries, "spacing", lengths=(len(patch_size),)))
    n_labels = len(set(labels.in_label_maps) - {labels.values.get(IGNORE)})
    return PredictionPlan(
        configuration=configuration,
        patch_size=patch_size,
        spacing=spacing,
        transpose_forward=tuple(int(axis) for axis in read.order(plans, "transpose_forward")),
        normalizations=_normalizations(entries, plans, n_channels=_n_channels(dataset_json, where), read=read),
        heads=Heads(
            n_heads=labels.n_outputs,
            region_values=labels.regions_class_order if labels.has_regions else (),
            n_foreground=n_labels - 1,
        ),
        needs_nnunet=_need_of_nnunet(entries, plans, patch_size),
    )


def _n_channels(dataset_json: Mapping[str, Any], where: str) -> int:
    names = dataset_json.get("channel_names", dataset_json.get("modality"))
    if not isinstance(names, Mapping) or not names:
        raise ValueError(f"{where}: dataset.json has the channel_names {names!r}, expected one name for each channel")
    return len(names)


def _normalizations(
    entries: Mapping[str, Any], plans: Mapping[str, Any], *, n_channels: int, read: "_Reader"
) -> tuple[Normalization, ...]:
    schemes = read.listed(entries, "normalization_schemes", n_channels)
    uses_mask = read.listed(entries, "use_mask_for_norm", n_channels)
    intensities = plans.get("foreground_intensity_properties_per_channel") or {}
    found = []
    for channel, (scheme, masked) in enumerate(zip(schemes, uses_mask, strict=True)):
        of_channel = intensities.get(str(channel), {}) if isinstance(intensities, Mapping) else {}
        if scheme == "CTNormalization":
            for name in _OF_CT:
                read.number(of_channel, name, f"foreground_intensity_properties_per_channel of channel {channel}")
        found.append(Normalization(scheme=str(scheme), uses_mask=bool(masked), intensities=of_channel))
    return tuple(found)


def _need_of_nnunet(entries: Mapping[str, Any], plans: Mapping[str, Any], patch_size: Sequence[int]) -> str | None:
    if len(patch_size) == 3:
        return "the network sees volumes"
    named = {
        "preprocessor_name": (entries.get("preprocessor_name"), _PREPROCESSOR),
        "label_manager": (plans.get("label_manager", _LABEL_MANAGER), _LABEL_MANAGER),
        **{
            name: (entries.get(name), _RESAMPLING)
            for name in ("resampling_fn_data", "resampling_fn_probabilities", "resampling_fn_seg")
        },
    }
    for name, (found, expected) in named.items():
        if found != expected:
            return f"{name} is {found!r}"
    others = [scheme for scheme in entries["normalization_schemes"] if scheme not in SCHEMES]
    return f"normalization_schemes has {others[0]!r}" if others else None


class _Reader:
    """Takes entries out of plans, and names the place of those that make no sense."""

    def __init__(self, where: str) -> None:
        self._where = where

    def numbers(self, entries: Mapping[str, Any], name: str, *, lengths: Sequence[int]) -> list[float]:
        found = entries.get(name)
        is_fine = isinstance(found, Sequence) and len(found) in lengths and all(map(_is_positive, found))
        if not is_fine:
            expected = " or ".join(map(str, lengths))
            raise ValueError(f"{self._where}: the plans have {name} {found!r}, expected {expected} numbers above 0")
        return [*found]  # type: ignore[misc]

    def order(self, entries: Mapping[str, Any], name: str) -> list[int]:
        found = entries.get(name)
        if not isinstance(found, Sequence) or sorted(found) != [0, 1, 2]:
            raise ValueError(f"{self._where}: the plans have {name} {found!r}, expected an order of 0, 1 and 2")
        return [*found]

    def listed(self, entries: Mapping[str, Any], name: str, n: int) -> list[Any]:
        found = entries.get(name)
        if not isinstance(found, Sequence) or len(found) != n:
            raise ValueError(f"{self._where}: the plans have {name} {found!r}, expected one for each of {n} channels")
        return [*found]

    def number(self, entries: Any, name: str, place: str) -> None:
        found = entries.get(name) if isinstance(entries, Mapping) else None
        if not isinstance(found, (int, float)) or isinstance(found, bool) or not math.isfinite(found):
            raise ValueError(f"{self._where}: the plans have {name} {found!r} in {place}, expected a number")


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
