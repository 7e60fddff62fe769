"""Loading weights that were published for the papers' own code.

``upstream_names`` tells which names are published, ``SegmentationNetwork`` what else a network says about them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_mamba.networks.published_values import published_tensors, require_fitting_values
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork, WeightsOrigin
from nnunet_mamba.networks.upstream_names import published_name
from nnunet_mamba.networks.weights_origin import recognised_origin

__all__ = ["LoadReport", "WeightsMismatchError", "load_upstream_weights", "published_name", "published_tensors"]

# Nobody reads an error that names more keys than this: it names some, and has all of them as attributes.
_LISTED, _EXAMPLES = 40, 3
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
        unused: keys that the network does not have, but for those that its published code does not use either.
        mismatched: keys whose shapes differ.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]


class WeightsMismatchError(ValueError):
    """Published weights do not fit a network completely; the text names up to 40 keys, the attributes all of them.

    ``summary``, ``origin`` and ``details`` are the parts of the text without what a caller in Python can do.

    Args:
        network: name of the network's class.
        report: what would have become of every key.
        shapes: key to its shape in the weights and in the network, for those of another shape.
        origin: whose weights these are, or None.
    """

    def __init__(
        self,
        network: str,
        report: LoadReport,
        shapes: Mapping[str, tuple[tuple[int, ...], ...]],
        *,
        origin: WeightsOrigin | None = None,
    ) -> None:
        if origin is None and report.source == "backbone":
            origin = WeightsOrigin("They are those of a classification network, which has a part of these weights only")
        n_wrong = len(report.missing) + len(report.unused) + len(shapes)
        self.summary = f"published weights do not fit {network} ({len(report.loaded)} keys fit, {n_wrong} do not)"
        self.origin = origin
        self.details, names_all = _misfits(report, shapes)
        hint = "" if names_all else " (the error's attributes have all names)"
        super().__init__(
            f"{self.summary}; nothing was loaded. {_way_out(origin)}, or pass partial=True to load what fits{hint}:\n"
            f"{self.details}"
        )
        self.report = report
        self.missing, self.unused, self.mismatched = report.missing, report.unused, report.mismatched
        self.shapes = dict(shapes)


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
        TypeError: a value is not a dense tensor, or not of the kind of the network's own.
        WeightsMismatchError: a key is missing, unused or of another shape; with ``partial``, nothing fits.
        ValueError: a value is not finite; the values under several names of one layer differ.
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
        unused=tuple(
            key
            for name, keys in match.copies.items()
            if name not in used and not _is_useless(net, name)
            for key in keys
        ),
        mismatched=tuple(dict.fromkeys(given_key for key, given_key in found.items() if key not in fitting)),
    )
    is_complete = not (report.missing or report.unused or report.mismatched)
    if not is_complete and not (partial and fitting):
        shapes = {
            given_key: (tuple(given[given_key].shape), tuple(ours[key].shape))
            for key, given_key in found.items()
            if key not in fitting
        }
        names = [name for keys in match.copies.values() for name in (key.removeprefix(match.prefix) for key in keys)]
        # A few wrong keys say what is wrong by themselves.
        few_fit = len(report.loaded) < 0.9 * len(ours) and match.source != "backbone"
        origin = recognised_origin(names, network=type(net)) if few_fit else None
        raise WeightsMismatchError(type(net).__name__, report, shapes, origin=origin)
    require_fitting_values((given_key, given[given_key], ours[key]) for key, given_key in fitting.items())
    net.load_state_dict({key: given[given_key] for key, given_key in fitting.items()}, strict=False)
    return report


def correspondence(net: nn.Module, given: Mapping[str, Tensor]) -> Correspondence:
    """Find out which source the weights come from, and where they hold each parameter and buffer of the network.

    Raises:
        ValueError: the values under several names of one layer differ.
    """
    network = net if isinstance(net, SegmentationNetwork) else None
    prefix = network.published_prefix if network else ""
    if not all(key.startswith(prefix) for key in given):
        prefix = ""
    copies = _keys_of_layers(given, prefix)
    names = {key: _first_name(published_name(net, key)) for key in net.state_dict()}
    if network and network.is_backbone(copies):
        sought = {key: network.backbone_name(name) for key, name in names.items()}
        return Correspondence(source="backbone", prefix=prefix, names=names, sought=sought, copies=copies)
    return Correspondence(source="published code", prefix=prefix, names=names, sought=names, copies=copies)


def _is_useless(net: nn.Module, name: str) -> bool:
    """Return whether the published code of the network saves weights of that name and does not use them."""
    pattern = net.published_unused if isinstance(net, SegmentationNetwork) else ""
    return bool(pattern) and re.match(pattern, name) is not None


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


def _way_out(origin: WeightsOrigin | None) -> str:
    if origin is None:
        return "Create the network with the sizes of the weights"
    if origin.networks:
        names = " or ".join(map(repr, origin.networks))
        return f"{origin.text}; create {names} for them, with the sizes of the weights"
    return origin.text


def _misfits(report: LoadReport, shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> tuple[str, bool]:
    """Return a line for each key that does not fit, or for a few of many, and whether these are all."""
    lines = {
        "missing in the weights": [f"  missing in the weights: {name}" for name in report.missing],
        "unused, not in the network": [f"  unused, not in the network: {name}" for name in report.unused],
        "of another shape": [
            f"  other shape: {name} is {theirs} in the weights, {ours} in the network"
            for name, (theirs, ours) in shapes.items()
        ],
    }
    if sum(map(len, lines.values())) <= _LISTED and report.source != "backbone":
        return "\n".join(line for kind in lines.values() for line in kind), True
    examples = []
    for kind, of_kind in lines.items():
        examples += of_kind[:_EXAMPLES]
        if len(of_kind) > _EXAMPLES:
            examples.append(f"  and {len(of_kind) - _EXAMPLES} more {kind}")
    return "\n".join(examples), False
