"""Checks of plans and dataset.json before a training or a planning uses them.

nnU-Net takes these files as they are. It fails late, or trains on something else than was meant.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from nnunet_mamba.data.formats.dataset_json import problems_of_labels
from nnunet_mamba.results.plans import inherited

# Entries that hold one number for each axis, and whether it must be whole.
_PER_AXIS = {"patch_size": True, "spacing": False, "median_image_size_in_voxels": False}


def refuse_senseless_plans(plans: Mapping[str, Any], configuration: str, *, where: str, needs: Sequence[str]) -> None:
    """Raise if a configuration cannot be trained or planned with.

    Args:
        plans: content of a plans file.
        configuration: to look at, with those that it inherits from.
        where: what to call the plans.
        needs: entries that the configuration must have.

    Raises:
        ValueError: entries are missing or make no sense; names all of them.
    """
    problems = list(_problems_of_plans(plans, configuration, needs))
    if problems:
        raise ValueError(
            f"{where}: {'; '.join(problems)}. Make the plans anew: nnUNetv2_plan_experiment, or correct the file"
        )


def _problems_of_plans(plans: Mapping[str, Any], configuration: str, needs: Sequence[str]) -> Iterator[str]:
    for name in ("plans_name", "dataset_name"):
        if not isinstance(plans.get(name), str) or not plans[name]:
            yield f"{name} is {plans.get(name)!r}, expected a name"
    configurations = plans.get("configurations")
    if not isinstance(configurations, Mapping) or not configurations:
        yield "there are no configurations"
        return
    try:
        entries = inherited(configurations, configuration)
    except ValueError as error:
        yield str(error)
        return
    for name in needs:
        if name not in entries:
            yield f"{configuration} has no {name}"
    if "batch_size" in entries and not _is_positive(entries["batch_size"], whole=True):
        yield f"{configuration} has the batch_size {entries['batch_size']!r}, expected a positive whole number"
    n_axes = None
    for name, whole in _PER_AXIS.items():
        if name not in entries:
            continue
        values = entries[name]
        is_list = isinstance(values, list | tuple) and all(_is_positive(value, whole=whole) for value in values)
        # A trainer reads only patch sizes, so users may have changed only these.
        differs = n_axes is not None and name in needs and is_list and len(values) != n_axes
        if not is_list or len(values) not in (2, 3) or differs:
            number = "whole number" if whole else "number"
            yield f"{configuration} has the {name} {values!r}, expected a positive {number} for each of its axes"
        else:
            n_axes = n_axes or len(values)
    arguments = entries.get("architecture", {})
    if not isinstance(arguments, Mapping) or not isinstance(arguments.get("arch_kwargs", {}), Mapping):
        yield f"{configuration} has an architecture that is not an object"


def refuse_senseless_dataset(dataset_json: Mapping[str, Any], *, where: str, counts_cases: bool = False) -> None:
    """Raise if dataset.json does not say what a network must be built for.

    Args:
        dataset_json: its content.
        where: what to call the file.
        counts_cases: whether numTraining is needed.

    Raises:
        ValueError: entries are missing or make no sense; names all of them.
    """
    problems = list(_problems_of_dataset(dataset_json, counts_cases=counts_cases))
    if problems:
        raise ValueError(f"{where}: {'; '.join(problems)}. Correct it, as nnU-Net's documentation of dataset.json says")


def _problems_of_dataset(dataset_json: Mapping[str, Any], *, counts_cases: bool) -> Iterator[str]:
    # nnU-Net also takes the name that its first version used.
    channels = dataset_json.get("channel_names", dataset_json.get("modality"))
    if not isinstance(channels, Mapping) or not channels:
        yield f"channel_names is {channels!r}, expected a name for each channel"
    yield from problems_of_labels(dataset_json)
    n_cases = dataset_json.get("numTraining")
    if counts_cases and not _is_positive(n_cases, whole=True):
        yield f"numTraining is {n_cases!r}, expected the number of training cases"


def _is_positive(value: Any, *, whole: bool) -> bool:
    # Real and Integral, since plans that are made in the same process hold numpy's numbers.
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value <= 0:
        return False
    return not whole or isinstance(value, Integral)
