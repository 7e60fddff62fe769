"""``nnunet-mamba reproduce``: a paper's table with one's own numbers beside the printed ones."""

import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.options.slurm_options import (
    Executor,
    SlurmCpus,
    SlurmGpus,
    SlurmMemory,
    SlurmOption,
    SlurmPartition,
    SlurmSetup,
    SlurmTime,
    Wait,
)
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nnunet_mamba.crossval.cross_validation import CrossValidation
    from nnunet_mamba.crossval.slurm import Resources
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.predictor import Predictor
    from nnunet_mamba.reproduction.request import ReproductionRequest
    from nnunet_mamba.reproduction.run import TrainingPlace

_WIDTH_WITHOUT_TERMINAL = 160


def reproduce(
    table: Annotated[
        str | None, typer.Argument(help="Such as ultralbm-unet-table-1; --list names all.", show_default=False)
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FOLDER",
            help="Files of the data set, as nnunet-mamba convert takes them; of several, isic17=FOLDER for each.",
            show_default=False,
        ),
    ] = None,
    list_tables: Annotated[bool, typer.Option("--list", help="Name the tables, and do nothing.")] = False,
    rows: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Methods as the table prints them.", show_default="all"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="20epochs",
            help="Train every network for so long; also 20epochs_50iterations.",
            show_default="paper's",
        ),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Seeds that every training is run with.", show_default="paper's, or 1")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for table, figures and logs.", show_default="the table's name and the budget"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would run and about how long, and write nothing.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Train a few steps of each network for --dry-run.")
    ] = True,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Convert and plan, and train nothing.")] = False,
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="nnU-Net's -device.", show_default="cuda where there is a GPU, else cpu"),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            help="Memory to plan for: of the GPU, 1 GiB of it left to CUDA, or of the training on a CPU.",
            show_default="what is free of the GPU, or 60 % of what is free on a CPU",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings at the same time, at most.", show_default="as for nnunet-mamba crossval"),
    ] = None,
    label_numbering: Annotated[
        str | None, typer.Option(help="Of TransUNet's files of Synapse: alphabetical or btcv.", show_default=False)
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave images with problems out instead of refusing all.")
    ] = False,
    executor: Executor = "local",
    wait: Wait = True,
    slurm_partition: SlurmPartition = None,
    slurm_time: SlurmTime = "24:00:00",
    slurm_gpus: SlurmGpus = None,
    slurm_cpus: SlurmCpus = 8,
    slurm_memory: SlurmMemory = None,
    slurm_setup: SlurmSetup = None,
    slurm_option: SlurmOption = None,
    progress: ProgressBars = True,
) -> None:
    """Run the experiment behind a paper's table, and print the table with your numbers beside the printed ones.

    Converts, plans, trains, tests and reports with the other commands' means, and names every difference from the
    paper. What is done is not repeated: after a crash or Ctrl-C, run the same command again. A row that cannot be run
    is told with its reason, and stops no other.
    """
    from nnunet_mamba.cli.output.reproduction_tables import print_expectation, print_experiments

    if list_tables:
        print_experiments()
        return
    with errors_as_text(is_conversion=False, continues=not dry_run, workers=""):
        with errors_of_usage():
            request = _request(
                table,
                data or [],
                rows=rows,
                budget=budget,
                repeats=repeats,
                output=output,
                others={
                    **{"device": device, "memory": memory, "label_numbering": label_numbering},
                    **{"skip_invalid": skip_invalid, "progress": progress},
                },
            )
            resources = _resources(
                {
                    **{"partition": slurm_partition, "cpus": slurm_cpus, "memory": slurm_memory, "parallel": jobs},
                    **{"setup": slurm_setup or (), "gpus": int(device != "cpu") if slurm_gpus is None else slurm_gpus},
                },
                time=slurm_time,
                options=slurm_option or [],
            )
        if dry_run:
            from nnunet_mamba.reproduction.estimate import expectation

            with _shown(progress) as listener:
                expected = expectation(
                    request, measures=measure, on_step=lambda text: listener.begins(f"measuring {text}")
                )
            print_expectation(expected)
            return
        place = _on_slurm(resources, wait=wait) if executor == "slurm" else _here(jobs)
        _run(request, place, prepare_only=prepare_only)


def _run(request: "ReproductionRequest", place: "TrainingPlace", *, prepare_only: bool) -> None:
    """Run all steps, or those before the trainings."""
    from nnunet_mamba.cli.output.reproduction_tables import print_reproduction
    from nnunet_mamba.reproduction.planned_rows import planned_rows
    from nnunet_mamba.reproduction.run import prepare, score, train
    from nnunet_mamba.reproduction.trainings import refuse_without_trainings
    from nnunet_mamba.reproduction.writing import refuse_other_run, write_reports, write_reproduction
    from nnunet_mamba.system.folder_lock import refuse_if_unwritable

    if not prepare_only:
        refuse_without_trainings()
    rows = planned_rows(request)
    refuse_other_run(request, rows)
    refuse_if_unwritable(request.output, way_out="choose another `output`")
    with _shown(request.progress) as listener:
        prepared = prepare(request, listener)
    for row in prepared.rows:
        if row.reason:
            text = f"{row.row.method} ({row.row.setting.dataset}) is not run: {row.reason}"
            print(f"Note: {with_option_names(text)}", file=sys.stderr)
    if prepare_only:
        print(f"All is prepared for {sum(map(len, prepared.trainings.values()))} trainings.")
        return
    # The trainings have a display of their own.
    shown = _Listener(lambda text: print(text, file=sys.stderr) if request.progress else None)
    if not train(prepared, place, shown):
        print(
            "The same command without --no-wait follows the jobs, trains what waits for them, and ends with the "
            "table. With --no-wait it submits what has become possible."
        )
        return
    with _shown(request.progress) as listener:
        write = partial(write_reproduction, request=request, in_words=with_option_names)
        found, gathered = score(prepared, listener, predictor=_predictor_on(request.device), on_held_out=write)
        files = write(found)
        listener.begins("drawing figures")
        files += write_reports(gathered, found, request, in_words=with_option_names)
    print_reproduction(found)
    for file in files:
        print(file)
    if found.lacks_numbers([not row.reason for row in rows]) or not any(row.scores for row in found.rows):
        raise typer.Exit(1)


def _request(
    table: str | None,
    data: list[str],
    *,
    rows: list[str] | None,
    budget: str | None,
    repeats: int | None,
    output: Path | None,
    others: "dict[str, object]",
) -> "ReproductionRequest":
    from nnunet_mamba.reproduction.request import (
        Budget,
        ReproductionRequest,
        default_output,
        find_experiment,
        places_of,
    )

    if table is None:
        raise ValueError("no table is named; nnunet-mamba reproduce --list names all of them")
    experiment = find_experiment(table)
    found_budget = None if budget is None else Budget.parse(budget)
    return ReproductionRequest(
        experiment=experiment,
        output=output or default_output(experiment, found_budget),
        places=places_of(data, experiment),
        rows=rows or [],
        budget=found_budget,
        repeats=repeats or experiment.repeats,
        **others,  # type: ignore[arg-type]
    )


def _resources(given: "dict[str, object]", *, time: str, options: list[str]) -> "Resources":
    from nnunet_mamba.crossval.slurm import Resources, parse_minutes, parse_options

    return Resources(minutes=parse_minutes(time), options=parse_options(options), **given)  # type: ignore[arg-type]


def _here(jobs: int | None) -> "TrainingPlace":
    """Return what trains on this machine."""
    from nnunet_mamba.cli.crossval import run_here
    from nnunet_mamba.cli.output.console import progress_console
    from nnunet_mamba.reproduction.run import TrainingPlace

    console = progress_console(width=_WIDTH_WITHOUT_TERMINAL)
    return TrainingPlace(run=lambda runs: run_here(runs, jobs=jobs, console=console))


def _on_slurm(resources: "Resources", *, wait: bool) -> "TrainingPlace":
    """Return what trains on a cluster."""
    from nnunet_mamba.cli.crossval import run_on_slurm
    from nnunet_mamba.cli.output.console import progress_console
    from nnunet_mamba.reproduction.run import TrainingPlace

    console = progress_console(width=_WIDTH_WITHOUT_TERMINAL)

    def run(runs: "CrossValidation", waits: bool = True) -> None:
        run_on_slurm(runs, resources, console=console, wait=waits)

    return TrainingPlace(run=run, submit=partial(run, waits=False), waits=wait, n_gpus=resources.gpus)


def _predictor_on(device: str | None) -> "Callable[[Model], Predictor]":
    from nnunet_mamba.cli.external_test import predictor_of

    return partial(predictor_of, device=device, mirroring=True, postprocessing=False)


class _Listener:
    """Shows what is done next, and prints sentences."""

    def __init__(self, show: "Callable[[str], None]") -> None:
        self.begins = show

    def note(self, text: str) -> None:
        print(f"Note: {with_option_names(text)}", file=sys.stderr)


@contextmanager
def _shown(progress: bool) -> "Iterator[_Listener]":
    from nnunet_mamba.cli.output.console import progress_console, shown_status

    if not progress:
        yield _Listener(lambda text: None)
        return
    with shown_status(progress_console()) as show:
        yield _Listener(show)
