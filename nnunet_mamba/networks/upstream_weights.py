"""Loading weights that were published for the papers' own code.

Modules of ours whose parts are published under other names carry ``published_names``: a mapping from the name of a
part, relative to the module, to its published name. Every other name is the same in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

# Wrappers that training scripts leave in front of every key.
WRAPPER_PREFIX = "module."


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of every key, all by their published names.

    Args:
        loaded: keys whose values are in the network.
        missing: keys that the network needs and the weights lack.
        unused: keys that the network does not have.
        mismatched: keys whose shapes differ.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]


def load_upstream_weights(
    net: nn.Module, published_state_dict: Mapping[str, Any], *, partial: bool = False
) -> LoadReport:
    """Copy published weights into a network or a block of ours.

    Args:
        net: network or block; it is unchanged when an error is raised.
        published_state_dict: published name to tensor; "module." in front of every key is taken off.
        partial: load what fits and report the rest, instead of refusing weights that do not fit completely.

    Raises:
        TypeError: a value is not a tensor.
        ValueError: names every key that is missing, unused or of another shape; with ``partial``, nothing fits.
    """
    published = _without_wrapper(published_state_dict)
    ours = net.state_dict()
    names = {published_name(net, key): key for key in ours}
    fitting = {
        name: key for name, key in names.items() if name in published and published[name].shape == ours[key].shape
    }
    report = LoadReport(
        loaded=tuple(fitting),
        missing=tuple(name for name in names if name not in published),
        unused=tuple(name for name in published if name not in names),
        mismatched=tuple(name for name in names if name in published and name not in fitting),
    )
    is_complete = not (report.missing or report.unused or report.mismatched)
    if not is_complete and not (partial and fitting):
        shapes = {name: (tuple(published[name].shape), tuple(ours[names[name]].shape)) for name in report.mismatched}
        raise ValueError(_misfit_text(type(net).__name__, report, shapes))
    net.load_state_dict({key: published[name] for name, key in fitting.items()}, strict=False)
    return report


def published_name(module: nn.Module, key: str) -> str:
    """Return the published name of ``key``, a key of ``module``'s state dict."""
    renamed: Mapping[str, str] = getattr(module, "published_names", {})
    for part, published in renamed.items():
        if key.startswith(f"{part}."):
            return f"{published}.{published_name(module.get_submodule(part), key[len(part) + 1 :])}"
    part, dot, rest = key.partition(".")
    return f"{part}.{published_name(module.get_submodule(part), rest)}" if dot else key


def _without_wrapper(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"published weights: {key!r} is a {type(value).__name__}, expected a tensor; pass the state dict "
                f"itself, such as checkpoint['state_dict']"
            )
    while state_dict and all(key.startswith(WRAPPER_PREFIX) for key in state_dict):
        state_dict = {key.removeprefix(WRAPPER_PREFIX): value for key, value in state_dict.items()}
    return dict(state_dict)


def _misfit_text(network: str, report: LoadReport, shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> str:
    lines = [
        *(f"  missing in the weights: {name}" for name in report.missing),
        *(f"  unused, not in the network: {name}" for name in report.unused),
        *(
            f"  other shape: {name} is {theirs} in the weights, {ours} in the network"
            for name, (theirs, ours) in shapes.items()
        ),
    ]
    return (
        f"published weights do not fit {network} ({len(report.loaded)} keys fit, {len(lines)} do not); nothing was "
        f"loaded. Create the network with the sizes of the weights, or pass partial=True to load what fits:\n"
        + "\n".join(lines)
    )
