"""What the entries of nnU-Net's checkpoints must be, so that a network can be trained or can predict with them."""

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

_OF_AN_OPTIMISER = ("state", "param_groups")
# Inside of the optimiser's state, where averaged weights predict: what training goes on with.
AVERAGING, N_STEPS, TRAINING_WEIGHTS = "averaging", "n_steps", "training_weights"


def problem_of_entries(stored: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the first entry that cannot be trained or predicted with, as "has …"; None if all can.

    Args:
        stored: content of a checkpoint; missing entries are no problem.
    """
    return next(_problems(stored), None)


def _problems(stored: Mapping[str, Any]) -> Iterator[str]:
    epoch = stored.get("current_epoch", 0)
    if not isinstance(epoch, int | np.integer) or isinstance(epoch, bool) or epoch < 0:
        yield f"has current_epoch {epoch!r}, expected a number of epochs"
    if not _are_weights(stored.get("network_weights", {})):
        yield "has network_weights that are no tensors by name"
    for name in ("logging", "init_args", "optimizer_state"):
        if not isinstance(stored.get(name, {}), Mapping):
            yield f"has the entry {name!r} of the type {type(stored[name]).__name__}"
    if not isinstance(stored.get("grad_scaler_state"), Mapping | None):
        yield f"has the grad_scaler_state {stored['grad_scaler_state']!r}, expected a dictionary or None"
    best = stored.get("_best_ema")
    # A validation without any foreground has NaN.
    if best is not None and (isinstance(best, bool) or not isinstance(best, Real)):
        yield f"has the _best_ema {best!r}, expected a number or None"
    axes = stored.get("inference_allowed_mirroring_axes")
    if axes is not None and (
        not isinstance(axes, tuple | list) or not all(isinstance(axis, int | np.integer) for axis in axes)
    ):
        yield f"has the inference_allowed_mirroring_axes {axes!r}, expected numbers of axes"
    for entry in ("network_weights", "optimizer_state"):
        if (place := _first_sparse(stored.get(entry, {}), entry)) is not None:
            yield f"has a tensor that is not one of plain numbers (in {place})"
        if (place := first_not_finite(stored.get(entry, {}), entry)) is not None:
            yield f"has values that are not finite (in {place})"
    if (problem := _problem_of_optimiser(stored.get("optimizer_state"))) is not None:
        yield problem


def _problem_of_optimiser(state: Any) -> str | None:
    if not state:
        return None
    if lacking := [name for name in _OF_AN_OPTIMISER if name not in state]:
        return f"has an optimizer_state without {' and '.join(lacking)}"
    groups = state["param_groups"]
    if not isinstance(groups, list) or not groups or not all(isinstance(group, Mapping) for group in groups):
        return "has an optimizer_state whose param_groups are no list of dictionaries"
    if not isinstance(state["state"], Mapping) or not all(isinstance(one, Mapping) for one in state["state"].values()):
        return "has an optimizer_state whose state is no dictionary of dictionaries"
    for group in groups:
        for name in ("lr", "weight_decay"):
            value = group.get(name, 0.0)
            if not isinstance(value, Real | Tensor) or not math.isfinite(value):
                return f"has an optimizer_state with the {name} {value!r}, expected a finite number"
    return _problem_of_averaging(state.get(AVERAGING))


def _problem_of_averaging(averaging: Any) -> str | None:
    if averaging is None:
        return None
    if not isinstance(averaging, Mapping) or not _are_weights(averaging.get(TRAINING_WEIGHTS)):
        return f"has an optimizer_state whose {AVERAGING} has no {TRAINING_WEIGHTS} that are tensors by name"
    n_steps = averaging.get(N_STEPS)
    if not isinstance(n_steps, int) or isinstance(n_steps, bool) or n_steps < 1:
        return f"has an optimizer_state whose {AVERAGING} has the {N_STEPS} {n_steps!r}, expected a number of steps"
    return None


def _are_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(one, Tensor) for name, one in value.items()
    )


def first_not_finite(value: Any, name: str) -> str | None:
    """Return the name of the first tensor with a value that is not finite, None if there is none.

    Args:
        value: a tensor, or mappings and lists of them.
        name: of the value.
    """
    if isinstance(value, Tensor):
        return name if value.is_floating_point() and not bool(value.isfinite().all()) else None
    return next((found for key, one in _inside(value) if (found := first_not_finite(one, f"{name}.{key}"))), None)


def _first_sparse(value: Any, name: str) -> str | None:
    """Return the name of the first tensor that is no plain array of real numbers, all in memory; None without one."""
    if isinstance(value, Tensor):
        is_plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not is_plain or value.is_nested or value.dtype.itemsize * value.numel() > value.untyped_storage().nbytes():
            return name
        # torch computes with no float8, and would take of complex numbers the real part alone.
        is_float8 = value.is_floating_point() and value.dtype.itemsize == 1
        return name if is_float8 or value.is_complex() else None
    return next((found for key, one in _inside(value) if (found := _first_sparse(one, f"{name}.{key}"))), None)


def _inside(value: Any) -> Iterator[tuple[Any, Any]]:
    yield from value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
