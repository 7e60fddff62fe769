"""``nnunet-mamba predict``: masks of images, on their own grid, from a model file or from what nnU-Net has trained."""

import json
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnunet_mamba.cli.options.model_options import (
    MODEL_HELP,
    CheckpointName,
    ModelConfiguration,
    ModelDataset,
    ModelPlans,
    ModelTrainer,
    checked_source,
    parse_folds,
    results_folder,
)
from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage
from nnunet_mamba.results.checkpoints import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.predictor import Predictor
    from nnunet_mamba.prediction.run import Run

SHOWN_FAILURES = 20
_SHARE = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders with all that is below them, patterns in quotes, zip archives.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the masks, new or empty.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            help=f"{MODEL_HELP} Or an ONNX file of nnunet-mamba export, which needs neither torch nor nnU-Net.",
        ),
    ] = None,
    dataset: ModelDataset = None,
    trainer: ModelTrainer = None,
    configuration: ModelConfiguration = None,
    plans: ModelPlans = None,
    folds: Annotated[
        str | None,
        typer.Option("-f", "--folds", metavar="0,1|all", help="Folds to average.", show_default="all that are trained"),
    ] = None,
    checkpoint_name: CheckpointName = FINAL,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the outlines on the images, into OUTPUT/overlays.")
    ] = False,
    statistics: Annotated[
        bool,
        typer.Option("--statistics", help="Measure the masks, into OUTPUT/statistics.csv and .json."),
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Keep the network's probabilities, in OUTPUT/probabilities.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="JSON file for what was done, how fast, and what failed.")] = None,
    mirroring: Annotated[
        bool, typer.Option("--mirroring/--no-mirroring", help="Average over mirrored copies, as in training.")
    ] = True,
    postprocessing: Annotated[
        bool,
        typer.Option("--postprocessing/--no-postprocessing", help="Do to label maps what the model's card says."),
    ] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; a GPU if there is one.")] = None,
    part: Annotated[
        str | None, typer.Option(help="Share of the images, such as 3/16, for the jobs of a cluster's array.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Predict also images that the model was not made for.")
    ] = False,
    progress: ProgressBars = True,
) -> None:
    """Predict masks of images of any size, each on its image's own grid, under its name.

    A photograph a.jpg gets OUTPUT/a.png, 255 where the label is; a volume gets a mask in its own format. An image that
    cannot be predicted is told and costs only itself: the exit status is then 1. An interrupted run continues when it
    is started again.
    """
    with errors_of_usage():
        share = _share(part)
        named_folds = parse_folds(folds)
        if (model is None) is (dataset is None):
            raise ValueError("name one model: --model NAME (nnunet-mamba models lists them), or -d DATASET")
        if model is not None and any((trainer, configuration, plans)):
            raise ValueError("-tr, -c and -p choose among the models of a data set: give -d instead of --model")
        if report is not None:
            _refuse_other_file(report)
        source: str | Path | None = None if model is None else checked_source(model)
    with errors_as_text(is_conversion=False, continues=True, workers=""), _refusals_as_text():
        from nnunet_mamba.prediction.run import RunOptions, predict_images

        if source is None:
            assert dataset is not None
            names = {"trainer": trainer, "plans": plans, "configuration": configuration}
            source = results_folder(dataset, names, checkpoint_name)
        opened = _opened(source, named_folds, checkpoint_name)

        def predictor() -> "Predictor":
            return _predictor(opened, device=device, mirroring=mirroring, postprocessing=postprocessing)

        done = predict_images(
            images,
            output,
            conversion=opened.description.image_conversion(),
            predictor=predictor,
            options=RunOptions(
                overlays=overlay,
                probabilities=probabilities,
                statistics=statistics,
                part=share,
                force=force,
                progress=progress,
            ),
        )
        _print_outcome(done, part)
        if report is not None:
            _write_report(report, done, opened)
    if done.failures:
        raise typer.Exit(1)


@contextmanager
def _refusals_as_text() -> "Iterator[None]":
    """End the command with a line for each reason why nothing can be predicted."""
    from nnunet_mamba.data.problems import InvalidDatasetError

    try:
        yield
    except InvalidDatasetError as error:
        for problem in error.problems:
            print(f"Error: {with_option_names(problem.text)} ({problem.identifier})", file=sys.stderr)
        print("Nothing was predicted.", file=sys.stderr)
        raise typer.Exit(1) from None


def _share(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _SHARE.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--part {text!r}: expected a share such as 3/16, from 1/16 to 16/16")
    return int(found[1]), int(found[2])


def _opened(source: str | Path, folds: "Sequence[str] | None", checkpoint_name: str) -> "Model":
    from nnunet_mamba.models.opening import open_model

    return open_model(source, folds=folds, checkpoint_name=checkpoint_name)


def _predictor(model: "Model", **options: Any) -> "Predictor":
    from nnunet_mamba.prediction.predictor import Predictor

    made = Predictor(model, **options)
    if model.onnx is None:
        from nnunet_mamba.ops.cpu_kernels.thread_team import let_waiting_threads_sleep

        # Other programs run beside this one.
        let_waiting_threads_sleep()
    return made


def _refuse_other_file(report: Path) -> None:
    """Raise if a report would take the place of something else, such as an image."""
    if report.is_dir():
        raise ValueError(f"--report {report} is a folder, expected a file")
    if report.exists() and report.suffix.lower() != ".json":
        raise ValueError(f"--report {report} exists already and is no .json file; give another name")


def _write_report(path: Path, done: "Run", model: "Model") -> None:
    from nnunet_mamba.system.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(done.report(model), indent=1) + "\n", encoding="utf-8")


def _print_outcome(done: "Run", part: str | None) -> None:
    for note in done.notes:
        print(note, file=sys.stderr)
    if not done.n_images:
        print(f"Part {part} has no image to predict; images in all: {done.n_in_all}.")
        return
    for number, text in enumerate(done.failures.values()):
        if number == SHOWN_FAILURES:
            more = len(done.failures) - SHOWN_FAILURES
            print(f"and {more} more, which --report FILE lists", file=sys.stderr)
            break
        print(f"Not predicted: {with_option_names(text)}", file=sys.stderr)
    n_masks = done.n_images - len(done.failures)
    counts = [f"{n_masks} of {done.n_images} images have masks", f"{done.n_written} of them written by this run"]
    if done.n_empty:
        counts.append(f"{done.n_empty} of these without any label")
    print(f"{', '.join(counts)}:")
    print(done.folder)
