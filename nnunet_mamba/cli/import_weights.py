"""``nnunet-mamba import-weights``: published weights, for ``nnUNetv2_train -pretrained_weights``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.system.folder_lock import refuse_if_unwritable

if TYPE_CHECKING:
    from nnunet_mamba.networks.published_files import Import
    from nnunet_mamba.networks.upstream_weights import WeightsMismatchError

_TOLD_BY_WEIGHTS = ("name", "input_channels", "num_classes")


def import_weights(
    file: Annotated[Path, typer.Argument(help="What the published code's training saved.", show_default=False)],
    network: Annotated[str, typer.Option(help="Name of the network, see nnunet-mamba list.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An argument of the network that is not the published one, such as depths=[2,2,9,2]; repeatable.",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what fits, where the network's own weights are not complete.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing OUTPUT.")] = False,
) -> None:
    """Write a checkpoint that nnUNetv2_train -pretrained_weights accepts, for any number of classes.

    FILE may hold the network's own published weights or, for vm_unet, those of a VMamba classification network
    (ImageNet), which begin the encoder and the decoder. Only tensors are read from it, never code.
    """
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        check_output(output, overwrite=overwrite)
        if output.exists() and file.exists() and output.samefile(file):
            raise FileExistsError(f"{output} is the file that is imported, which would be lost; choose another name")
        arguments = _parsed(overrides or [])
        from nnunet_mamba.networks import published_files
        from nnunet_mamba.networks.upstream_weights import WeightsMismatchError

        try:
            imported = published_files.import_weights(file, network, output, overrides=arguments, partial=partial)
        except WeightsMismatchError as error:
            raise ValueError(_in_options(file, error)) from error
        except TypeError as error:
            # An argument that the network does not take.
            raise ValueError(str(error)) from error
    print_report(imported, network)
    if imported.unlike_trainer:
        print(
            f"{output}: weights of a network with another {' and '.join(imported.unlike_trainer)} than nnU-Net's "
            "trainer of it builds. nnUNetv2_train -pretrained_weights does not notice and would take a part of them: "
            "use them with a trainer of your own that builds this network"
        )
        return
    trainer = f"-tr {imported.variant_trainer} " if imported.variant_trainer else ""
    print(f"{output} (nnUNetv2_train ... {trainer}-pretrained_weights {output})")
    if imported.notice:
        print(imported.notice)


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raise if the checkpoint cannot be written, before anything is read."""
    if output.is_dir():
        raise IsADirectoryError(
            f"{output} is a folder, expected the name of a checkpoint, such as {output / 'weights.pth'}"
        )
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; choose another name, or pass --overwrite")
    refuse_if_unwritable(output.parent, way_out="make room, get the right to write there, or choose another --output")


def _in_options(file: Path, error: "WeightsMismatchError") -> str:
    """Return the text of a misfit with what this command's options can do about it."""
    way_out = "Pass the sizes of the weights with --set"
    if error.origin is not None:
        way_out = error.origin.text
        if error.origin.networks:
            names = " or ".join(error.origin.networks)
            way_out += f"; pass --network {names} for them, and the sizes of the weights with --set"
    return (
        f"{file}: {error.summary}; nothing was loaded. {way_out}, or pass --partial to load what fits:\n{error.details}"
    )


def _parsed(overrides: list[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for override in overrides:
        name, equals, value = override.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise ValueError(f"--set {override}: expected NAME=VALUE, such as depths=[2,2,9,2]")
        if name in _TOLD_BY_WEIGHTS:
            raise ValueError(f"--set {override}: channels and classes are those of the weights; leave it out")
        if name in arguments:
            raise ValueError(f"--set {override}: {name} is given twice; leave one out")
        try:
            arguments[name] = _as_tuples(json.loads(value, parse_constant=_refuse_constant))
        except json.JSONDecodeError:
            # A bare word, such as split_att=conv.
            arguments[name] = value
        except ValueError as error:
            raise ValueError(f"--set {override}: {error}") from error
    return arguments


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no finite number; expected a value such as 2 or [2,2,9,2]")


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def print_report(imported: "Import", network: str) -> None:
    """Print which weights of a network come from a file, and which keep their initial values."""
    report = imported.report
    kind = "a classification network" if report.source == "backbone" else "published code"
    print(f"{network}, {imported.input_channels} → {imported.num_classes}: weights of {kind}")
    print(f"{len(report.loaded)} keys loaded")
    for title, keys in {
        "keep their initial values": report.missing,
        "of another shape keep their initial values": report.mismatched,
        "of the file are not used": report.unused,
    }.items():
        if keys:
            shown = ", ".join(keys[:14]) + (f" and {len(keys) - 14} more" if len(keys) > 14 else "")
            print(f"{len(keys)} keys {title}: {shown}")
