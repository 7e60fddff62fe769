"""``nnunet-mamba plan``: batch and patch sizes from the measured memory of each network's own training step."""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.list_options import parse_names, parse_sizes
from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.console import results_console
from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nnunet_mamba.planning.memory import Budget
    from nnunet_mamba.planning.planning_request import PlanningRequest
    from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer
    from nnunet_mamba.planning.trainer_plans import TrainerPlans


def plan(
    dataset: Annotated[str, typer.Argument(help="Id or name of a data set that nnU-Net has planned.")],
    trainers: Annotated[
        list[str] | None,
        typer.Option(
            "--trainers", "--trainer", "-tr", metavar="A,B", help="Trainers to plan for.", show_default="all that suit"
        ),
    ] = None,
    configuration: Annotated[
        list[str] | None,
        typer.Option(
            "--configuration", "-c", help="2d, 3d_fullres or 3d_lowres; may be repeated.", show_default="all that suit"
        ),
    ] = None,
    base: Annotated[str, typer.Option(help="nnU-Net's plans to begin with.")] = "nnUNetPlans",
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            help="Memory to plan for: of the GPU, 1 GiB of it left to CUDA, or of the training on a CPU.",
            show_default="what is free of the GPU, or 60 % of what is free on a CPU",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda.", show_default="cuda where there is a device")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Take this batch size.", show_default=False)] = None,
    patch_size: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help="Take this patch size, such as 128x128.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and show, write nothing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace plans of that name even if others wrote them.")
    ] = False,
    progress: ProgressBars = True,
) -> None:
    """Write plans for our trainers beside nnU-Net's own, with batch and patch sizes that fit the memory.

    nnU-Net's planner estimates the memory of its own U-Net. Here the network itself is trained for a few steps on
    random data, each time in a process of its own. The preprocessed data stay as they are.
    """
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.planning.memory import GIB, resolve_budget
        from nnunet_mamba.planning.planning_request import PlanningRequest
        from nnunet_mamba.planning.plans_files import read_base_plans
        from nnunet_mamba.planning.selection import refuse_plans_of_others, select

        budget = resolve_budget(device, memory)
        request = PlanningRequest(
            configurations=configuration or (),
            batch_size=batch_size,
            patch_size=None if patch_size is None else parse_sizes(patch_size, option="--patch-size"),
        )
        plans = read_base_plans(dataset, base)
        selection = select(plans, parse_names(trainers or (), option="--trainers"), request)
        if not (dry_run or overwrite):
            try:
                refuse_plans_of_others(selection)
            except FileExistsError as error:
                raise FileExistsError(f"{error}, or replace it with --overwrite") from error
        held = f" ({budget.held_by_others / GIB:.2f} GiB are held by other programs)" if budget.held_by_others else ""
        print(f"{plans.folder.name} on the {budget.device}, {budget.size / GIB:.2f} GiB for a training{held}")
        succeeded = [
            _plan_and_print(one, names, budget=budget, request=request, writes=not dry_run, progress=progress)
            for one, names in selection
        ]
    if not all(succeeded):
        raise typer.Exit(1)


def _plan_and_print(
    trainer: "ResolvedTrainer",
    configurations: "Sequence[str]",
    *,
    budget: "Budget",
    request: "PlanningRequest",
    writes: bool,
    progress: bool,
) -> bool:
    """Plan for one trainer and print it; return whether that went well, so that the others still follow."""
    from nnunet_mamba.planning.step_process import TrainingStepError
    from nnunet_mamba.planning.trainer_plans import plan_trainer

    try:
        with _progress(len(configurations), shown=progress) as on_progress:
            planned = plan_trainer(
                trainer, configurations, budget=budget, request=request, writes=writes, on_progress=on_progress
            )
    except (TrainingStepError, ValueError) as error:
        print(f"\nError: {trainer.name}: {with_option_names(str(error))}", file=sys.stderr)
        return False
    _print_plans(planned)
    if planned.file is None:
        print("a dry run: nothing is written")
        return True
    print(planned.file)
    for command in planned.training_commands():
        print(f"  {command}")
    return True


def _print_plans(planned: "TrainerPlans") -> None:
    from rich.table import Table

    from nnunet_mamba.planning.memory import GIB
    from nnunet_mamba.planning.patches import format_size

    def gibibytes(size: int | None) -> str:
        return "" if size is None else f"{size / GIB:.2f} GiB"

    table = Table(title=f"\n{planned.trainer.name}", title_justify="left", show_edge=False)
    for heading in ("configuration", "patch", "batch", "limited by", "estimated", "measured", "difference"):
        table.add_column(heading, no_wrap=True)
    for one in planned.configurations:
        memory = one.memory
        difference = "" if memory.error_of_estimate is None else f"{memory.error_of_estimate:+.1%}"
        table.add_row(
            *(one.name, format_size(one.content["patch_size"]), str(memory.batch_size), one.reason),
            *(gibibytes(memory.estimate), gibibytes(memory.measured), difference),
        )
    results_console(width=120).print(table)
    for one in planned.configurations:
        for warning in one.warnings:
            print(f"Warning: {one.name}: {warning}")


@contextmanager
def _progress(n_configurations: int, *, shown: bool) -> "Iterator[Callable[[int, str], None]]":
    """Give a function that is told how many configurations are planned, and what is measured next."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from nnunet_mamba.system.progress import PacedLines

    console = Console(stderr=True)
    if shown and not console.is_terminal:
        lines = PacedLines()
        yield lambda n_planned, text: lines.offer(f"measuring {text}")
        return
    columns = (SpinnerColumn("line"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as bars:
        task = bars.add_task("starting", total=n_configurations)
        yield lambda n_planned, text: bars.update(task, completed=n_planned, description=f"measuring {text}")
