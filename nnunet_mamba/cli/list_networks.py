"""``nnunet-mamba list``: every network, its trainer if it has one, its size and what one image costs."""

import json
from collections.abc import Iterator
from enum import Enum
from importlib.util import find_spec
from itertools import groupby
from textwrap import fill
from typing import Annotated, Any

import typer

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.presets import CLASSIFIERS, PRESETS, ClassifierPreset, Preset, Size
from nnunet_mamba.presets.trainer_names import variants_of_file

# Network or trainer, image, channels → classes, parameters, GMACs, GFLOPs.
_LINE = "{:<34}{:>12}{:>8}{:>14}{:>10}{:>10}"
_HEADINGS = ("network", "image", "in→out", "parameters", "GMACs", "GFLOPs")
# The convention of the papers that segment, multiply-adds without the scans, says nothing here.
_CLASSIFIER_LINE = "{:<34}{:>12}{:>8}{:>14}{:>10}"
_CLASSIFIER_HEADINGS = ("network", "image", "in→out", "parameters", "GFLOPs")


class Task(str, Enum):
    """What networks are for."""

    segmentation = "segmentation"
    classification = "classification"


def list_networks(
    task: Annotated[
        Task, typer.Option(help="Networks that give every pixel a class, or those that give the image one.")
    ] = Task.segmentation,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the networks by the paper they come from, with their trainers, sizes and costs.

    GMACs and GFLOPs are 10⁹ operations for one image of the size shown: multiply-adds as the papers count them, without
    the scans; and all floating-point operations, two per multiply-add, with the scans. Networks of other libraries
    need an extra, which stands below their source: pip install 'nnunet-mamba[EXTRA]'. Networks for classification have
    no trainers of nnU-Net; docs/how-to/classify.md trains them.
    """
    if task is Task.classification:
        _list_classifiers(as_json=as_json)
        return
    if as_json:
        rows = [_as_dict(preset, size) for preset in PRESETS.values() for size in preset.sizes]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    typer.secho(_LINE.format(*_HEADINGS), bold=True)
    for (source, extra), presets in groupby(PRESETS.values(), key=lambda preset: (preset.source, _extra(preset))):
        typer.secho(f"\n{source}", dim=True)
        if extra:
            typer.secho(extra, dim=True)
        for preset in presets:
            for line in _lines(preset):
                typer.echo(line)
    if others := _trainers_of_no_network_of_their_own():
        typer.secho("\nMore trainers of these networks", dim=True)
        for name in others:
            typer.echo(f"  {name}")
    if variants := {name: found for name in trainer_names() if (found := variants_of_file(name))}:
        typer.secho("\nVariants: rows of the papers' ablations, directly behind a trainer's name", dim=True)
        for name, found in variants.items():
            listed = " ".join(f"_{variant}" for variant in found)
            typer.echo(fill(listed, 86, initial_indent=f"  {name}", subsequent_indent=" " * (2 + len(name))))


def _list_classifiers(*, as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(map(_classifier_as_dict, CLASSIFIERS.values())), indent=2, ensure_ascii=False))
        return
    typer.secho(_CLASSIFIER_LINE.format(*_CLASSIFIER_HEADINGS), bold=True)
    for source, presets in groupby(CLASSIFIERS.values(), key=lambda preset: preset.source):
        typer.secho(f"\n{source}", dim=True)
        for preset in presets:
            typer.echo(_CLASSIFIER_LINE.format(preset.name, *_shape(preset), _five_digits(preset.giga_flops)))


def _classifier_as_dict(preset: ClassifierPreset) -> dict[str, Any]:
    input_channels, num_classes = preset.reference_input
    return {
        "network": preset.name,
        "title": preset.title,
        "source": preset.source,
        "input_channels": input_channels,
        "num_classes": num_classes,
        "image_size": preset.image_size,
        "n_parameters": preset.n_parameters,
        "giga_flops": preset.giga_flops,
    }


def _trainers_of_no_network_of_their_own() -> list[str]:
    return sorted(set(trainer_names()) - {preset.trainer for preset in PRESETS.values()})


def _extra(preset: Preset) -> str:
    """Return which extra a network needs, and whether that is installed; nothing where it needs none."""
    if not preset.requires:
        return ""
    return f"needs nnunet-mamba[{preset.extra}], {'installed' if _is_installed(preset) else 'not installed'}"


def _is_installed(preset: Preset) -> bool:
    return all(find_spec(package) is not None for package in preset.requires)


def _as_dict(preset: Preset, size: Size) -> dict[str, Any]:
    input_channels, num_classes = size.reference_input
    return {
        "network": preset.name,
        "title": preset.title,
        "trainer": preset.trainer,
        "variants": list(preset.variants),
        "source": preset.source,
        "spatial_dims": size.spatial_dims,
        "input_channels": input_channels,
        "num_classes": num_classes,
        "image_size": size.image_size,
        "n_parameters": size.n_parameters,
        "giga_macs": size.giga_macs,
        "giga_flops": size.giga_flops,
        "extra": preset.extra or None,
        "is_installed": _is_installed(preset),
    }


def _lines(preset: Preset) -> Iterator[str]:
    """Return the network's name beside its numbers for images, and its trainer's beside those for volumes."""
    for dims, name in ((2, preset.name), (3, f"  {preset.trainer}")):
        has_numbers = dims in preset.spatial_dims
        yield _LINE.format(name, *(_numbers(preset.size(dims)) if has_numbers else ("",) * 5)).rstrip()


def _numbers(size: Size) -> tuple[str, ...]:
    return (*_shape(size), _five_digits(size.giga_macs), _five_digits(size.giga_flops))


def _shape(size: Size | ClassifierPreset) -> tuple[str, ...]:
    return (
        "×".join(map(str, size.image_size)),
        "→".join(map(str, size.reference_input)),
        f"{size.n_parameters:,}".replace(",", " "),
    )


def _five_digits(number: float) -> str:
    return f"{number:#.5g}".rstrip(".")
