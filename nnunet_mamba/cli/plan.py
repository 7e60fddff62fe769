"""``nnunet-mamba plan``: batch and patch sizes from the measured memory of each network's own training step."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.console import results_console
from nnunet_mamba.cli.error_texts import errors_as_text
from nnunet_mamba.cli.option_types import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from nnunet_mamba.planning.memory import Budget
    from nnunet_mamba.planning.planner import PlannedConfiguration, Wishes
    from nnunet_mamba.planning.plans_files import BasePlans


def plan(
    dataset: Annotated[str, typer.Argument(help="Id or name of a data set that nnU-Net has planned.")],
    trainer: Annotated[
        list[str] | None, typer.Option(help="Trainer to plan for; may be repeated.", show_default="all that suit")
    ] = None,
    configuration: Annotated[
        list[str] | None,
        typer.Option(help="2d, 3d_fullres or 3d_lowres; may be repeated.", show_default="all that suit"),
    ] = None,
    base: Annotated[str, typer.Option(help="nnU-Net's plans to begin with.")] = "nnUNetPlans",
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            help="Memory that a training may take.",
            show_default="the GPU's less 1 GiB, or 60 % of what is free on a CPU",
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
    progress: Progress = True,
) -> None:
    """Write plans for our trainers beside nnU-Net's own, with batch and patch sizes that fit the memory.

    nnU-Net's planner estimates the memory of its own U-Net. Here the network itself is trained for a few steps on
    random data, each time in a process of its own. The preprocessed data stay as they are.
    """
    with errors_as_text(workers=""):
        from nnunet_mamba.bundled import trainer_names
        from nnunet_mamba.planning.memory import GIB, resolve_budget
        from nnunet_mamba.planning.planner import Wishes, nothing_to_plan, suitable_configurations
        from nnunet_mamba.planning.plans_files import plans_name, read_base_plans, require_replaceable

        budget = resolve_budget(device, memory)
        wishes = Wishes(batch_size=batch_size, patch_size=_sizes(patch_size))
        plans = read_base_plans(dataset, base)
        jobs = {
            name: suitable_configurations(plans, name, configuration or (), wishes)
            for name in trainer or trainer_names()
            if trainer or not configuration or _suits(plans, name, configuration, wishes)
        }
        jobs = {name: configurations for name, configurations in jobs.items() if configurations}
        if not jobs:
            raise ValueError(nothing_to_plan(plans, trainer or trainer_names(), configuration or (), wishes))
        if not dry_run:
            for name in jobs:
                require_replaceable(plans.folder, plans_name(name, base), overwrite=overwrite)
        print(f"{plans.folder.name} on the {budget.device}, {budget.size / GIB:.2f} GiB for a training")
        failed = 0
        for name, configurations in jobs.items():
            failed += not _plan_trainer(
                plans, name, configurations, budget=budget, wishes=wishes, writes=not dry_run, progress=progress
            )
    if failed:
        raise typer.Exit(1)


def _suits(plans: "BasePlans", trainer: str, configurations: "Sequence[str]", wishes: "Wishes") -> bool:
    """Return whether a trainer that was not asked for can train what was."""
    from nnunet_mamba.planning.planner import suitable_configurations

    everything = suitable_configurations(plans, trainer, (), wishes)
    return all(name in everything or name not in plans.plans["configurations"] for name in configurations)


def _plan_trainer(
    plans: "BasePlans",
    trainer: str,
    configurations: "Sequence[str]",
    *,
    budget: "Budget",
    wishes: "Wishes",
    writes: bool,
    progress: bool,
) -> bool:
    """Plan for one trainer, write and print it; return whether that went well, so that the others still follow."""
    from nnunet_mamba.planning.planner import plan_configuration
    from nnunet_mamba.planning.plans_files import merged_plans, plans_name, write_plans
    from nnunet_mamba.planning.training_step import StepFailedError, measure_step

    planned = []
    try:
        with _progress(len(configurations), shown=progress) as (on_step, on_configuration):
            for name in configurations:
                planned.append(
                    plan_configuration(
                        plans, trainer, name, budget=budget, wishes=wishes, measure=measure_step, on_step=on_step
                    )
                )
                on_configuration()
    except (StepFailedError, ValueError) as error:
        print(f"\nError: {trainer}: {error}", file=sys.stderr)
        return False
    name = plans_name(trainer, plans.name)
    file = None
    if writes:
        contents = {done.name: done.content for done in planned}
        origins = {done.name: _origin(done, trainer, budget) for done in planned}
        file = write_plans(plans.folder, merged_plans(plans, name, contents, origins))
    _print_plans(trainer, planned)
    if file is None:
        print("a dry run: nothing is written")
        return True
    number = int(plans.folder.name[len("Dataset") :].split("_")[0])
    device = "" if budget.device == "cuda" else " -device cpu"
    print(file)
    for done in planned:
        print(f"  nnUNetv2_train {number} {done.name} 0 -tr {trainer} -p {name}{device}")
    return True


def _origin(done: "PlannedConfiguration", trainer: str, budget: "Budget") -> dict[str, str | int | None]:
    return {
        "trainer": trainer,
        "device": budget.device,
        "limited_by": done.reason,
        "memory_budget": budget.size,
        "memory_estimated": done.memory.estimate,
        "memory_measured": done.memory.measured,
    }


def _print_plans(trainer: str, planned: "Sequence[PlannedConfiguration]") -> None:
    from rich.table import Table

    from nnunet_mamba.planning.memory import GIB
    from nnunet_mamba.planning.planner import by

    def gibibytes(size: int | None) -> str:
        return "" if size is None else f"{size / GIB:.2f} GiB"

    table = Table(title=f"\n{trainer}", title_justify="left", show_edge=False)
    for heading in ("configuration", "patch", "batch", "limited by", "estimated", "measured", "difference"):
        table.add_column(heading, no_wrap=True)
    for done in planned:
        memory = done.memory
        difference = ""
        if memory.estimate is not None and memory.measured is not None:
            difference = f"{memory.estimate / memory.measured - 1:+.1%}"
        table.add_row(
            *(done.name, by(done.content["patch_size"]), str(memory.batch_size), done.reason),
            *(gibibytes(memory.estimate), gibibytes(memory.measured), difference),
        )
    results_console(width=120).print(table)
    for done in planned:
        for warning in done.warnings:
            print(f"Warning: {done.name}: {warning}")


def _progress(
    n_configurations: int, *, shown: bool
) -> "AbstractContextManager[tuple[Callable[[str], None], Callable[[], None]]]":
    """Give two functions: one is told what is measured, the other that a configuration is done."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    @contextmanager
    def bar() -> "Iterator[tuple[Callable[[str], None], Callable[[], None]]]":
        console = Console(stderr=True)
        columns = (SpinnerColumn("line"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
            task = bars.add_task("starting", total=n_configurations)
            yield (
                lambda text: bars.update(task, description=f"measuring {text}"),
                lambda: bars.advance(task),
            )

    return bar()


def _sizes(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of "128 128", "128,128" or "128x128"."""
    if text is None:
        return None
    import re

    if not re.fullmatch(r"\d+([ ,x×]+\d+){1,2}", text.strip()):
        raise ValueError(f"--patch-size {text!r}: expected two or three positive numbers; pass 128x128, for example")
    sizes = [int(number) for number in re.findall(r"\d+", text)]
    if min(sizes) < 1:
        raise ValueError(f"--patch-size {text!r}: expected two or three positive numbers; pass 128x128, for example")
    return tuple(sizes)
