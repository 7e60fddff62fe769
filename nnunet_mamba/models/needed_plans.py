"""What predicting and fine-tuning need of nnU-Net's plans and dataset.json, taken out of them and checked."""

import re
from collections.abc import Mapping
from typing import Any

from nnunet_mamba.data.formats.dataset_json import IGNORE, Labels, dataset_json_in
from nnunet_mamba.results.plans import inherited
from nnunet_mamba.system.checked_entries import Entry

# Of the plans, beside the configurations.
_GENERAL = (
    *("dataset_name", "plans_name", "original_median_spacing_after_transp", "original_median_shape_after_transp"),
    *("image_reader_writer", "transpose_forward", "transpose_backward", "experiment_planner_used", "label_manager"),
    *("foreground_intensity_properties_per_channel", "foreground_intensity_properties_by_modality"),
)
_INTENSITIES = _GENERAL[-2:]
# Of a configuration: names of other ones, which are not there.
_OF_OTHERS = ("inherits_from", "next_stage")
# Of dataset.json. Its further entries may name people, and files of the first version of nnU-Net.
_OF_DATASET = (
    *("channel_names", "modality", "labels", "regions_class_order", "file_ending", "overwrite_image_reader_writer"),
    "numTraining",
)
# nnU-Net looks these names up in its own modules.
_NAMED_FUNCTIONS = ("preprocessor_name", "resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities")
# They become names of folders, and nnU-Net puts two underscores between them.
_NAME = re.compile(r"(?!\.)(?!.*__)[A-Za-z0-9_.+-]+(?<![_.])")
_DATASET_NAME = re.compile(r"Dataset\d{3,}_[^\\/:\x00-\x1f]+(?<![ .])")


def needed_plans(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """Return plans with one configuration, joined with what it inherits, and without what else planning left there.

    Args:
        plans: of nnU-Net.
        configuration: the one to keep.

    Raises:
        ValueError: there is no such configuration.
    """
    entries = inherited(plans["configurations"], configuration)
    general = {name: plans[name] for name in _GENERAL if name in plans}
    for name in _INTENSITIES:
        if name in general:
            general[name] = _without_nan(general[name])
    kept = {name: value for name, value in entries.items() if name not in _OF_OTHERS}
    return {**general, "configurations": {configuration: kept}}


def needed_dataset_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed of dataset.json: channels, labels, and how files are read.

    Args:
        content: of the file.
    """
    return {name: content[name] for name in _OF_DATASET if name in content}


def check_plans(plans: Entry, configuration: str, *, n_channels: int) -> None:
    """Raise if plans cannot be predicted with.

    Args:
        plans: of one model.
        configuration: that the model was trained with.
        n_channels: of the images.

    Raises:
        ValueError: an entry is missing or makes no sense.
    """
    check_dataset_name(plans.at("dataset_name"))
    check_name(plans.at("plans_name"), "the name of plans")
    n_axes = _check_axes(plans)
    planned = plans.at("configurations").at(configuration)
    _check_sizes(planned, n_axes)
    schemes = [scheme.text("the name of a normalisation") for scheme in planned.at("normalization_schemes").items()]
    if len(schemes) != n_channels:
        planned.at("normalization_schemes").refuse(f"{n_channels}, one for each channel")
    for flag in planned.at("use_mask_for_norm").items(n=n_channels):
        flag.flag()
    for name in _NAMED_FUNCTIONS:
        if planned.has(name):
            planned.at(name).text("the name of one of nnU-Net's")
        if planned.has(f"{name}_kwargs"):
            planned.at(f"{name}_kwargs").object()
    architecture = planned.optional("architecture")
    if architecture.value is not None:
        architecture.at("arch_kwargs").object()
    _check_intensities(plans, schemes)


def check_dataset_json(dataset: Entry) -> tuple[int, Labels]:
    """Return the number of channels and the labels that dataset.json declares.

    Args:
        dataset: its content.

    Raises:
        ValueError: an entry is missing or makes no sense.
    """
    name = "modality" if dataset.has("modality") else "channel_names"
    channels = dataset.at(name)
    if not channels.object():
        channels.refuse("a name for each channel")
    for _, channel in channels.entries():
        channel.text("the name of a channel")
    try:
        labels = dataset_json_in(dataset.object(), place=dataset.place).labels
    except ValueError as error:
        raise ValueError(f"{error}; {dataset.way_out}") from error
    return len(channels.object()), labels


def check_mirror_axes(axes: Entry, n_axes: int) -> tuple[int, ...]:
    """Return the axes that may be mirrored in prediction.

    Args:
        axes: a list of their numbers.
        n_axes: of the patches.

    Raises:
        ValueError: a number is no axis, or there twice.
    """
    found: list[int] = []
    for axis in axes.items():
        if axis.whole() >= n_axes or axis.whole() in found:
            axis.refuse(f"an axis below {n_axes}, each once")
        found.append(axis.whole())
    return tuple(found)


def n_input_channels(n_channels: int, labels: Labels, planned: Mapping[str, Any]) -> int:
    """Return the input channels of a network: of the images, and in a cascade of what the stage before has found.

    Args:
        n_channels: of the images.
        labels: of the data set.
        planned: entries of the configuration.
    """
    if planned.get("previous_stage") is None:
        return n_channels
    others = {name: value for name, value in labels.values.items() if name != IGNORE}
    values = {number for value in others.values() for number in (value if isinstance(value, tuple) else (value,))}
    return n_channels + len(values - {0})


def check_name(entry: Entry, expected: str) -> str:
    """Return a name that may become the name of a folder or a part of it.

    Raises:
        ValueError: it holds other signs.
    """
    if not _NAME.fullmatch(entry.text(expected)):
        entry.refuse(f"{expected}, of letters, digits, dots, hyphens and single underscores")
    return entry.text()


def check_dataset_name(entry: Entry) -> str:
    """Return the name of a data set's folder.

    Raises:
        ValueError: nnU-Net gives no data set such a name.
    """
    if not _DATASET_NAME.fullmatch(entry.text("the name of a data set")):
        entry.refuse("the name of a data set, such as Dataset101_ISIC")
    return entry.text()


def _check_axes(plans: Entry) -> int:
    """Return the number of axes of the images."""
    forward = [axis.whole() for axis in plans.at("transpose_forward").items()]
    for name in ("transpose_forward", "transpose_backward"):
        axes = [axis.whole() for axis in plans.at(name).items(n=len(forward))]
        if sorted(axes) != list(range(len(forward))) or len(forward) not in (2, 3):
            plans.at(name).refuse("the numbers 0, 1 and 2 in some order")
    return len(forward)


def _check_sizes(planned: Entry, n_axes: int) -> None:
    patch_size = [size.whole(least=1) for size in planned.at("patch_size").items()]
    if len(patch_size) not in (2, n_axes):
        planned.at("patch_size").refuse(f"2 or {n_axes} numbers")
    for size in planned.at("spacing").items(n=len(patch_size)):
        if size.number() <= 0:
            size.refuse("a positive number")
    if planned.has("batch_size"):
        planned.at("batch_size").whole(least=1)


def _check_intensities(plans: Entry, schemes: list[str]) -> None:
    name = next((name for name in _INTENSITIES if plans.has(name)), None)
    if name is None:
        if "CTNormalization" in schemes:
            raise ValueError(f"{plans.place} has no entry {_INTENSITIES[0]!r}, which CT needs; {plans.way_out}")
        return
    for channel, properties in plans.at(name).entries():
        is_needed = channel.isdigit() and int(channel) < len(schemes) and schemes[int(channel)] == "CTNormalization"
        for _, value in properties.entries():
            _ = value.number() if is_needed else value.number_or_none()


def _without_nan(properties: Any) -> Any:
    """Return intensities with null for NaN, which JSON does not know: a channel without foreground has them."""
    if isinstance(properties, Mapping):
        return {name: _without_nan(value) for name, value in properties.items()}
    return None if isinstance(properties, float) and properties != properties else properties
