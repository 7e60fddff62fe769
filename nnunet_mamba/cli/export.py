"""``nnunet-mamba export``: a trained model as one file that is proved equal before it is written."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.model_options import (
    CheckpointName,
    ModelConfiguration,
    ModelDataset,
    ModelPlans,
    ModelTrainer,
    NamedModel,
    checked_source,
    parse_folds,
    results_folder,
)
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.system.folder_lock import refuse_if_unwritable

if TYPE_CHECKING:
    from nnunet_mamba.export.exported_file import ExportedFile
    from nnunet_mamba.export.subject import ExportSubject


class ExportFormat(str, Enum):
    """What a model is exported as."""

    ONNX = "onnx"
    TORCH_EXPORT = "torch-export"


class Weights(str, Enum):
    """How weights are stored."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


# By their names other commands tell files apart.
_SUFFIXES = {ExportFormat.ONNX: ".onnx", ExportFormat.TORCH_EXPORT: ".pt2"}


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, such as lesion.onnx.", show_default=False)
    ],
    model: NamedModel = None,
    dataset: ModelDataset = None,
    trainer: ModelTrainer = None,
    configuration: ModelConfiguration = None,
    plans: ModelPlans = None,
    folds: Annotated[
        str | None,
        typer.Option(
            "-f", "--folds", metavar="0,1|all", help="Folds to average, inside the file.", show_default="all trained"
        ),
    ] = None,
    checkpoint_name: CheckpointName = FINAL,
    file_format: Annotated[
        ExportFormat, typer.Option("--format", help="onnx for onnxruntime, torch-export (.pt2) for PyTorch alone.")
    ] = ExportFormat.ONNX,
    weights: Annotated[
        Weights,
        typer.Option("--weights", help="float16 halves the file; for a million parameters and more."),
    ] = Weights.FLOAT32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing OUTPUT.")] = False,
) -> None:
    """Write a model as a file of standard operators, and OUTPUT.json beside it, and print its name.

    The file takes images (b, c, h, w), or normalised volumes (b, c, d, h, w), and returns logits and probabilities;
    OUTPUT.json tells channels, normalization, labels and licences. Nothing is written unless onnxruntime, or PyTorch
    without nnunet-mamba, computes what the network computes. nnunet-mamba verify repeats that later for ONNX files,
    without torch. With --weights float16 the network is the one with rounded weights, computed in float32 as before;
    OUTPUT.json tells what the rounding costs.
    """
    with errors_of_usage():
        named_folds = parse_folds(folds)
        if (model is None) is (dataset is None):
            raise ValueError("name one model: --model NAME (nnunet-mamba models lists them), or -d DATASET")
        if model is not None and any((trainer, configuration, plans)):
            raise ValueError("-tr, -c and -p choose among the models of a data set: give -d instead of --model")
        if output.suffix.lower() != _SUFFIXES[file_format]:
            raise ValueError(
                f"--output {output}: expected the name of a file that ends in {_SUFFIXES[file_format]}, as --format "
                f"{file_format.value} writes it"
            )
        if (file_format, weights) == (ExportFormat.TORCH_EXPORT, Weights.FLOAT16):
            raise ValueError("--weights float16 is for --format onnx; leave one of them out")
        source: str | Path | None = None if model is None else checked_source(model)
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.onnx_models.optional_packages import require_packages

        if file_format is ExportFormat.ONNX:
            require_packages("onnx", "onnxscript", "onnxruntime")
        _refuse_output(output, overwrite=overwrite)
        from nnunet_mamba.export.subject import subject_of
        from nnunet_mamba.models.opening import open_model

        if source is None:
            assert dataset is not None
            names = {"trainer": trainer, "plans": plans, "configuration": configuration}
            source = results_folder(dataset, names, checkpoint_name)
        subject = subject_of(open_model(source, folds=named_folds, checkpoint_name=checkpoint_name))
        _print_written(_written(subject, output, file_format, half_weights=weights is Weights.FLOAT16))


def _written(
    subject: "ExportSubject", output: Path, file_format: ExportFormat, *, half_weights: bool
) -> "ExportedFile":
    if file_format is ExportFormat.TORCH_EXPORT:
        from nnunet_mamba.export.torch_export import write_program

        return write_program(subject, output)
    from nnunet_mamba.export.onnx_export import write_onnx

    return write_onnx(subject, output, half_weights=half_weights)


def _refuse_output(output: Path, *, overwrite: bool) -> None:
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder, expected a file such as {output / 'model.onnx'}")
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; choose another name, or pass --overwrite")
    refuse_if_unwritable(output.parent, way_out="make room, get the right to write there, or choose another --output")


def _print_written(written: "ExportedFile") -> None:
    network = "the network with its rounded weights" if "weights" in written.facts else "torch"
    print(f"{written.n_bytes / 1000:.0f} kB; against {network} {written.worst.in_words()}.", file=sys.stderr)
    if "weights" in written.facts:
        cost = written.facts["weights"]["beside_float32"]
        print(
            f"On made-up images rounding the weights left {cost['equal_labels']:.4%} of the labels as they were, and "
            f"changed logits by up to {cost['largest_logit_difference']:.2g} where the largest is "
            f"{cost['largest_logit']:.3g}; measure the Dice on images of your own.",
            file=sys.stderr,
        )
    print(f"Facts and check images: {written.sidecar}", file=sys.stderr)
    print(written.file)
