"""Loading weights that were published for the papers' own code.

Modules of ours whose parts are published under other names carry ``published_names``: a mapping from the name of a
part, relative to the module, to its published name. Every other name is the same in both. A network whose published
code wraps it carries the wrapper's name as ``published_prefix``, and one that can begin with the weights of a
classification network a method ``backbone_name``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Wrappers that training scripts leave in front of every key.
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
# Numbers that thop leaves in the modules it has counted.
COUNTERS = ("total_ops", "total_params")
# dynamic-network-architectures registers a layer twice, and its decoders hold the encoder once more.
_SECOND_NAMES = (
    (re.compile(r"(?:^|(?<=\.))decoder\.encoder\."), "encoder."),
    (re.compile(r"\.all_modules\.0\."), ".conv."),
    (re.compile(r"\.all_modules\.1\."), ".norm."),
)


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of every key, all by their published names.

    Args:
        source: "published code" of the network itself, or "backbone" for the weights of a classification network.
        loaded: keys whose values are in the network.
        missing: keys that the network needs and the weights lack.
        unused: keys that the network does not have.
        mismatched: keys whose shapes differ.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Correspondence:
    """Which of the given weights belong to which of the network's.

    Args:
        source: see ``LoadReport``.
        prefix: the published wrapper's name in front of every given key, or "".
        names: our key to its published name.
        sought: our key to the name that the source has for it, None if it has none.
        copies: name in the source to the given keys that hold it.
    """

    source: str
    prefix: str
    names: Mapping[str, str]
    sought: Mapping[str, str | None]
    copies: Mapping[str, list[str]]

    def given_key(self, key: str) -> str | None:
        """Return the given key whose value our ``key`` takes, or None."""
        name = self.sought[key]
        return self.copies[name][0] if name is not None and name in self.copies else None


def load_upstream_weights(
    net: nn.Module, published_state_dict: Mapping[str, Any], *, partial: bool = False
) -> LoadReport:
    """Copy published weights into a network or a block of ours.

    Where the published code holds a layer under several names, one of them is enough, and all that are given must
    agree.

    Args:
        net: network or block; it is unchanged when an error is raised.
        published_state_dict: published name to tensor; "module." in front of every key is taken off, and so is the
            published wrapper's name, such as VM-UNet's "vmunet.".
        partial: load what fits and report the rest, instead of refusing weights that do not fit completely.

    Raises:
        TypeError: a value is not a tensor.
        ValueError: names every key that is missing, unused or of another shape; with ``partial``, nothing fits; the
            values under several names of one layer differ.
    """
    given = published_tensors(published_state_dict)
    match = correspondence(net, given)
    ours = net.state_dict()
    found = {key: given_key for key in ours if (given_key := match.given_key(key)) is not None}
    fitting = {key: given_key for key, given_key in found.items() if given[given_key].shape == ours[key].shape}
    used = {match.sought[key] for key in found}
    report = LoadReport(
        source=match.source,
        loaded=_loaded_keys(match, fitting),
        missing=tuple(dict.fromkeys(match.prefix + match.names[key] for key in ours if key not in found)),
        unused=tuple(key for name, keys in match.copies.items() if name not in used for key in keys),
        mismatched=tuple(dict.fromkeys(given_key for key, given_key in found.items() if key not in fitting)),
    )
    is_complete = not (report.missing or report.unused or report.mismatched)
    if not is_complete and not (partial and fitting):
        shapes = {
            given_key: (tuple(given[given_key].shape), tuple(ours[key].shape))
            for key, given_key in found.items()
            if key not in fitting
        }
        raise ValueError(_misfit_text(type(net).__name__, report, shapes))
    net.load_state_dict({key: given[given_key] for key, given_key in fitting.items()}, strict=False)
    return report


def correspondence(net: nn.Module, given: Mapping[str, Tensor]) -> Correspondence:
    """Find out what published weights are of, and where they hold each parameter and buffer of the network.

    Raises:
        ValueError: the values under several names of one layer differ.
    """
    prefix = getattr(net, "published_prefix", "")
    if not all(key.startswith(prefix) for key in given):
        prefix = ""
    copies = _keys_of_layers(given, prefix)
    names = {key: _first_name(published_name(net, key)) for key in net.state_dict()}
    network: Any = net
    if hasattr(net, "is_backbone") and network.is_backbone(copies):
        sought = {key: network.backbone_name(name) for key, name in names.items()}
        return Correspondence(source="backbone", prefix=prefix, names=names, sought=sought, copies=copies)
    return Correspondence(source="published code", prefix=prefix, names=names, sought=names, copies=copies)


def published_name(module: nn.Module, key: str) -> str:
    """Return the published name of ``key``, a key of ``module``'s state dict."""
    renamed: Mapping[str, str] = getattr(module, "published_names", {})
    for part, published in renamed.items():
        if key == part:
            return published
        if key.startswith(f"{part}."):
            return f"{published}.{published_name(module.get_submodule(part), key[len(part) + 1 :])}"
    part, dot, rest = key.partition(".")
    return f"{part}.{published_name(module.get_submodule(part), rest)}" if dot else key


def published_tensors(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return published weights without the wrappers in front of their names and the counters among them.

    Raises:
        TypeError: a value is not a tensor.
    """
    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"published weights: {key!r} is a {type(value).__name__}, expected a tensor; pass the state dict "
                f"itself, such as checkpoint['state_dict']"
            )
    # A compiled network may be wrapped for several devices, or the other way round.
    for prefix in WRAPPER_PREFIXES * 2:
        if all(key.startswith(prefix) for key in state_dict):
            state_dict = {key.removeprefix(prefix): value for key, value in state_dict.items()}
    return {key: value for key, value in state_dict.items() if not key.endswith(COUNTERS)}


def _first_name(name: str) -> str:
    """Return the one name of a layer that may have several."""
    for pattern, first in _SECOND_NAMES:
        name = pattern.sub(first, name)
    return name


def _keys_of_layers(given: Mapping[str, Tensor], prefix: str) -> dict[str, list[str]]:
    """Return every key of the weights under the first name of its layer."""
    copies: dict[str, list[str]] = {}
    for key in given:
        keys = copies.setdefault(_first_name(key.removeprefix(prefix)), [])
        keys.append(key)
        if not _holds_the_same(given[key], given[keys[0]]):
            raise ValueError(
                f"published weights: {keys[0]!r} and {key!r} are two names of one layer with different values, "
                f"expected equal ones; the file was changed after it was saved, take the original"
            )
    return copies


def _holds_the_same(one: Tensor, other: Tensor) -> bool:
    # The names of one layer usually share its memory, and weights that are NaN equal nothing, not even themselves.
    return one is other or (one.data_ptr() == other.data_ptr() and one.shape == other.shape) or torch.equal(one, other)


def _loaded_keys(match: Correspondence, fitting: Mapping[str, str]) -> tuple[str, ...]:
    """Return the network's keys that have their values, by the names of its published code."""
    if match.source == "backbone":
        return tuple(match.prefix + match.names[key] for key in fitting)
    return tuple(dict.fromkeys(given_key for key in fitting for given_key in match.copies[match.names[key]]))


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
