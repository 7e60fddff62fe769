"""Files of published weights: read without running what is in them, rewritten for ``nnUNetv2_train``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.networks.catalogue import create_network, network_class
from nnunet_mamba.networks.torch_files import CodeInFileError, DamagedFileError, read_torch_file, write_torch_file
from nnunet_mamba.networks.upstream_weights import (
    LoadReport,
    WeightsMismatchError,
    correspondence,
    load_upstream_weights,
    published_tensors,
)
from nnunet_mamba.presets import CLASSIFIERS, PRESETS
from nnunet_mamba.presets.trainer_names import trainer_of

# Where training scripts put the weights in what they save.
WEIGHTS_KEYS = ("network_weights", "state_dict", "model_state_dict", "model", "model_state")
# Input channels and classes that no published network has, to see which axes depend on them.
_UNUSUAL = (5, 7)


@dataclass(frozen=True, kw_only=True)
class Import:
    """What was read, and what was made of it.

    Args:
        report: what became of every key.
        input_channels: of the network that the weights belong to.
        num_classes: of the same network.
        unlike_trainer: overrides that make it another network than any of its nnU-Net trainers builds.
        variant_trainer: the nnU-Net trainer whose variant has these overrides; "" for none, and where none is needed.
        notice: a sentence about weights of this network's published code, or "".
    """

    report: LoadReport
    input_channels: int
    num_classes: int
    unlike_trainer: tuple[str, ...] = ()
    variant_trainer: str = ""
    notice: str = ""


def import_weights(
    file: Path, network: str, output: Path, *, overrides: Mapping[str, Any] | None = None, partial: bool = False
) -> Import:
    """Write a checkpoint for ``nnUNetv2_train -pretrained_weights`` from published weights.

    Channels and classes are those of the weights. Those of a classification network fill only a part of the network;
    the rest gets new values, always the same ones.

    Args:
        file: what a training script of the published code saved.
        network: one of ``list_networks()``.
        output: checkpoint to write; nothing is written when an error is raised.
        overrides: keyword arguments of the network, see ``create_network``.
        partial: keep new values where published weights of the network itself lack some or do not fit.

    Raises:
        FileNotFoundError: there is no ``file``.
        ValueError: it holds no weights, cannot be read without running code, or does not fit the network.
    """
    if network in CLASSIFIERS:
        raise ValueError(
            f"{network} is a classification network, which nnU-Net does not train; in Python, "
            f"load_upstream_weights(create_network({network!r}, 3, 1000), read_weights(Path({str(file)!r}))) loads it"
        )
    weights = read_weights(file)
    overrides = overrides or {}
    input_channels, num_classes = _channels_and_classes(network, weights, overrides)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = create_network(network, input_channels, num_classes, **overrides)
    # A classification network never has a decoder's weights, so asking for the import is asking for a part.
    is_backbone = correspondence(net, weights).source == "backbone"
    try:
        report = load_upstream_weights(net, weights, partial=partial or is_backbone)
    except WeightsMismatchError:
        raise
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    write_torch_file({"network_weights": net.state_dict()}, output)
    changed = {name: overrides[name] for name in _unlike_trainer(network, overrides)}
    variant_trainer = _variant_trainer(network, changed)
    return Import(
        report=report,
        input_channels=input_channels,
        num_classes=num_classes,
        unlike_trainer=() if variant_trainer else tuple(changed),
        variant_trainer=variant_trainer,
        notice=net.published_notice,
    )


def _unlike_trainer(network: str, overrides: Mapping[str, Any]) -> Iterator[str]:
    preset = PRESETS[network]
    # The plans decide these in a training, and heads of lower resolutions belong to the checkpoint in any case.
    free = {*preset.from_plans, *preset.from_plans_in_3d, "spatial_dims", "deep_supervision"}
    known = network_class(preset).keyword_arguments()
    arguments = preset.sizes[0].arguments
    for name, value in overrides.items():
        if name not in free and value != arguments.get(name, known[name].default):
            yield name


def _variant_trainer(network: str, changed: Mapping[str, Any]) -> str:
    if not changed:
        return ""
    try:
        return trainer_of(network, changed)
    except ValueError:
        return ""


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return the published weights in a file, by their names there.

    Raises:
        FileNotFoundError: there is no ``file``.
        ValueError: it holds no weights, or cannot be read without running code.
    """
    if not file.is_file():
        problem = "not a file" if file.exists() else "no such file"
        raise FileNotFoundError(f"{file}: {problem}; pass the weights that you downloaded")
    try:
        saved = read_torch_file(file, verify=True)
    except CodeInFileError as asked:
        raise ValueError(_refusal(file, asked)) from asked
    except DamagedFileError as error:
        raise ValueError(
            f"{file}: not a whole file of torch.save ({error}; it begins with {_beginning(file)!r}); download it again"
        ) from error
    if isinstance(saved, Mapping) and "network_weights" in saved and "trainer_name" in saved:
        raise ValueError(
            f"{file}: a checkpoint of a training of nnU-Net, not of published code; it needs no import. Give it to "
            f"nnU-Net itself: nnUNetv2_train ... -pretrained_weights {file}"
        )
    for key in WEIGHTS_KEYS:
        if isinstance(saved, Mapping) and isinstance(saved.get(key), Mapping):
            saved = saved[key]
            break
    if not isinstance(saved, Mapping) or not any(isinstance(value, Tensor) for value in saved.values()):
        found = (
            f"a dictionary of {', '.join(map(repr, list(saved)[:8]))}" if isinstance(saved, Mapping) else type(saved)
        )
        raise ValueError(
            f"{file}: holds {found}, expected weights by name, or a dictionary with them under one of "
            f"{', '.join(WEIGHTS_KEYS)}; save them so with torch.save"
        )
    try:
        return published_tensors(saved)
    except TypeError as error:
        raise ValueError(f"{file}: {error}") from error


def _beginning(file: Path) -> bytes:
    """Return what tells a web page or a pointer of Git LFS from a checkpoint."""
    with file.open("rb") as content:
        return content.read(24)


def _refusal(file: Path, asked: CodeInFileError) -> str:
    return (
        f"{file}: holds more than tensors and plain values ({asked}); reading such a file can "
        f"run code that is hidden in it, so it was not read. If you trust where it comes from, take the weights out "
        f"yourself, torch.save(torch.load('{file.name}', weights_only=False)['model'], 'weights.pth') with the key "
        f"that holds them, and import weights.pth"
    )


def _channels_and_classes(network: str, weights: Mapping[str, Tensor], overrides: Mapping[str, Any]) -> tuple[int, int]:
    """Return the input channels and classes of the weights, read off the shapes that depend on them."""
    usual = (3, 1)
    with torch.device("meta"):
        net, other = (create_network(network, *numbers, **overrides) for numbers in (usual, _UNUSUAL))
    match = correspondence(net, weights)
    found = list(usual)
    shapes = other.state_dict()
    for key, value in net.state_dict().items():
        given_key = match.given_key(key)
        for axis, sizes in enumerate(zip(value.shape, shapes[key].shape, strict=True)):
            for which in (0, 1):
                if given_key and sizes == (usual[which], _UNUSUAL[which]) and weights[given_key].ndim == value.ndim:
                    found[which] = weights[given_key].shape[axis]
    return found[0], found[1]
