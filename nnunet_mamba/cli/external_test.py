"""``nnunet-mamba external-test``: several models on another data set, and their mean over folds and seeds."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.list_options import parse_names
from nnunet_mamba.cli.options.model_options import MODEL_HELP, CheckpointName, checked_source, parse_folds
from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage
from nnunet_mamba.evaluation.distances.conventions import CONVENTIONS, SURFACE, DistanceMeasure
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.system.counts import how_many

if TYPE_CHECKING:
    from nnunet_mamba.cli.run_reports.run_report_option import Given
    from nnunet_mamba.external_tests.external_test import ExternalTest
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.predictor import Predictor
    from nnunet_mamba.results.trained_model import TrainedModel

_SHOWN_FAILURES = 20


def external_test(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders with all that is below them, patterns in quotes, zip archives.",
            show_default=False,
        ),
    ],
    reference: Annotated[
        Path,
        typer.Option(help="Folder of reference masks or label maps, also in the folders below it.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the masks of each model and the scores.", show_default=False),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            help=f"{MODEL_HELP} Or an ONNX file of nnunet-mamba export. May be repeated.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Data set whose trainings are tested, such as 101.")
    ] = None,
    trainers: Annotated[
        list[str] | None,
        typer.Option(
            "--trainers",
            "-tr",
            "--trainer",
            metavar="A,B",
            help="Its trainers; a name without _seed<N> stands for all of its seeds.",
            show_default="all that are trained",
        ),
    ] = None,
    configuration: Annotated[
        str | None, typer.Option("-c", "--configuration", help="Their configuration.", show_default="any")
    ] = None,
    plans: Annotated[str | None, typer.Option("-p", "--plans", help="Their plans.", show_default="any")] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--folds",
            metavar="0,1|all",
            help="Their folds, each a model by itself.",
            show_default="all that have begun",
        ),
    ] = None,
    checkpoint_name: CheckpointName = FINAL,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Test also all folds of each training together, as predict takes them.")
    ] = False,
    dataset_json: Annotated[
        Path | None,
        typer.Option(
            help="dataset.json of the references: labels, regions, file ending. Masks of 0 and 255 need none.",
            show_default="beside the folder of references",
        ),
    ] = None,
    distances: Annotated[bool, typer.Option("--distances", help="Measure HD95 and NSD, too.")] = False,
    convention: Annotated[
        str | None,
        typer.Option(
            help=f"Of distances: {' or '.join(CONVENTIONS)} (the Synapse papers', in voxels).", show_default=SURFACE
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Of NSD.", show_default="1 mm, or 2 pixels where files tell no spacing"),
    ] = None,
    allow_same_names: Annotated[
        bool,
        typer.Option("--allow-same-names", help="Images that are called as training cases are other images."),
    ] = False,
    mirroring: Annotated[
        bool, typer.Option("--mirroring/--no-mirroring", help="Average over mirrored copies, as in training.")
    ] = True,
    postprocessing: Annotated[
        bool,
        typer.Option("--postprocessing/--no-postprocessing", help="Do to label maps what the model's card says."),
    ] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; a GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that read and count.", show_default="one per core")
    ] = None,
    progress: ProgressBars = True,
) -> None:
    """Test models on another data set: predict with each, score each, and print the mean ± SD over folds and seeds.

    Every fold of every training is one model, and so is each of its repeats from other seeds (_seed<N>). Their masks
    go into OUTPUT/MODEL, the scores into OUTPUT/external_test.json and .csv. An interrupted test continues when it is
    started again. If an image cannot be predicted, there is no table, and the exit status is 1.
    """
    given = {
        **{"dataset": dataset, "trainers": trainers, "configuration": configuration, "plans": plans},
        **{"folds": folds, "checkpoint_name": checkpoint_name},
    }
    with errors_of_usage():
        sources = [checked_source(text) for text in model or ()]
        parse_folds(folds)
        if not sources and dataset is None:
            raise ValueError("name models: --model NAME (nnunet-mamba models lists them), or -d DATASET")
        if dataset is None and any((trainers, configuration, plans, folds)):
            raise ValueError("--trainers, -c, -p and -f choose among the trainings of a data set: give -d, too")
    with errors_as_text(is_conversion=False, continues=True, workers="--processes 1"):
        from nnunet_mamba.external_tests.external_test import ExternalTestOptions, run_external_test
        from nnunet_mamba.external_tests.models_under_test import open_models

        trainings = [] if dataset is None else chosen_trainings(given)
        models = open_models(sources, trainings, ensemble=ensemble, checkpoint_name=checkpoint_name)

        def predictor(opened: "Model") -> "Predictor":
            return predictor_of(opened, device=device, mirroring=mirroring, postprocessing=postprocessing)

        is_measured = distances or convention is not None or tolerance is not None
        done = run_external_test(
            images,
            reference,
            models,
            output=output,
            predictor=predictor,
            options=ExternalTestOptions(
                dataset_json=dataset_json,
                distances=DistanceMeasure(convention=convention or SURFACE, tolerance=tolerance)
                if is_measured
                else None,
                allow_same_names=allow_same_names,
                processes=processes,
                progress=progress,
            ),
        )
        if not done.failures:
            _tell(done, as_json=as_json)
    if done.failures:
        _tell_failures(done)
        raise typer.Exit(1)


def chosen_trainings(given: "Given") -> "list[tuple[TrainedModel, list[str]]]":
    """Return the trainings that the options name, with the folds of each.

    Args:
        given: the options by their names.

    Raises:
        FileNotFoundError: there is no such training.
        ValueError: folds have not ended.
    """
    from nnunet_mamba.external_tests.trainings import TrainingsRequest, find_trainings
    from nnunet_mamba.system.nnunet_folders import nnunet_folder

    request = TrainingsRequest(
        dataset=given["dataset"],
        trainers=parse_names(given["trainers"], option="--trainers") if given["trainers"] else None,
        configuration=given["configuration"],
        plans=given["plans"],
        folds=parse_folds(given["folds"]),
        checkpoint_name=given["checkpoint_name"],
    )
    return find_trainings(nnunet_folder("nnUNet_results"), request)


def predictor_of(model: "Model", *, device: str | None, mirroring: bool, postprocessing: bool) -> "Predictor":
    """Return what predicts with a model beside other programs.

    Args:
        model: with the folds that predict together.
        device: None takes a GPU if there is one.
        mirroring: average over mirrored copies, as in training.
        postprocessing: do to label maps what the model's card says.
    """
    from nnunet_mamba.ops.cpu_kernels.thread_team import let_waiting_threads_sleep
    from nnunet_mamba.prediction.predictor import Predictor

    made = Predictor(model, device=device, mirroring=mirroring, postprocessing=postprocessing)
    # Other programs run beside this one.
    let_waiting_threads_sleep()
    return made


def _tell(done: "ExternalTest", *, as_json: bool) -> None:
    from nnunet_mamba.external_tests.files import external_test_as_dict, write_external_test

    files = write_external_test(done)
    for note in done.notes:
        print(f"Note: {with_option_names(note)}", file=sys.stderr)
    if as_json:
        print(json.dumps(external_test_as_dict(done), indent=2))
        return
    from nnunet_mamba.cli.output.external_test_table import print_external_test

    print_external_test(done)
    for file in files:
        print(file)


def _tell_failures(done: "ExternalTest") -> None:
    """Print each image that has no mask with the first reason for it, and how many models lack it."""
    reasons: dict[str, list[str]] = {}
    for failed in done.failures.values():
        for image, reason in failed.items():
            reasons.setdefault(image, []).append(reason)
    for texts in list(reasons.values())[:_SHOWN_FAILURES]:
        print(f"Not predicted by {how_many(len(texts), 'model')}: {with_option_names(texts[0])}", file=sys.stderr)
    if len(reasons) > _SHOWN_FAILURES:
        print(f"and {len(reasons) - _SHOWN_FAILURES} more", file=sys.stderr)
    print(
        f"Error: {how_many(len(reasons), 'image has', 'images have')} no mask, so nothing is scored: a mean of the "
        "others would be that of other images. All other masks are kept. Put the images right, or take them out with "
        "their references, and run the same command again, it continues.",
        file=sys.stderr,
    )
