"""``nnunet-mamba crossval``: all folds of one or more trainers with stock nnU-Net, here or on a Slurm cluster."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nnunet_mamba.cli.options.list_options import parse_names
from nnunet_mamba.cli.options.option_names import with_option_names
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
from nnunet_mamba.cli.output.console import progress_console, results_console
from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.system.counts import how_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nnunet_mamba.crossval.cross_validation import CrossValidation
    from nnunet_mamba.crossval.slurm import Resources
    from nnunet_mamba.crossval.status import Status

Device = Literal["cpu", "cuda"]
_WIDTH_WITHOUT_TERMINAL = 160


def crossval(
    dataset: Annotated[str, typer.Argument(help="Name or number of the preprocessed data set.", show_default=False)],
    trainers: Annotated[
        list[str],
        typer.Option(
            "--trainers",
            "--trainer",
            "-tr",
            metavar="A,B",
            help="Trainers as given to -tr, stock nnU-Net's too.",
            show_default=False,
        ),
    ],
    configuration: Annotated[
        str | None, typer.Argument(help="2d, 3d_fullres, …; or with -c.", show_default=False)
    ] = None,
    configuration_option: Annotated[
        str | None, typer.Option("--configuration", "-c", help="Another way to name it.", show_default=False)
    ] = None,
    folds: Annotated[str, typer.Option(help="Such as 0-4 or 0,2; all means every fold of splits_final.json.")] = "all",
    plans: Annotated[
        str,
        typer.Option(
            "--plans",
            "-p",
            metavar="P,Q",
            help="Plans as given to -p; of several, every trainer trains with each. "
            "own: each trainer with those that nnunet-mamba plan made for it.",
        ),
    ] = "nnUNetPlans",
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train every trainer with so many seeds, 1, 2, …; each has results of its own, of TRAINER_seed1, ….",
            show_default="once, without a seed",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trainings at the same time, at most; memory, a GPU's too, may allow fewer.",
            show_default="one on each GPU or every two cores; on Slurm as many as it gives",
        ),
    ] = None,
    device: Annotated[
        Device | None, typer.Option(help="nnU-Net's -device.", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    npz: Annotated[
        bool, typer.Option("--npz", help="Keep probabilities of the validation cases, which ensembling needs.")
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
) -> None:
    """Train and validate all folds of one or more trainers with stock nnU-Net, side by side.

    What is complete is not trained again, and what was interrupted continues: after a crash or Ctrl-C, run the same
    command again. Ends with the Dice of every fold, of every seed if there are several, and nnU-Net's command that
    compares the trainers.
    """
    with errors_as_text(is_conversion=False, continues=True, workers=""):
        from nnunet_mamba.crossval.cross_validation import Request, prepare_cross_validation
        from nnunet_mamba.crossval.slurm import Resources, parse_minutes, parse_options

        gpus = slurm_gpus if slurm_gpus is not None else int(device != "cpu")
        request = Request(
            dataset=dataset,
            configuration=_the_one(configuration, configuration_option),
            trainers=parse_names(trainers, option="--trainers"),
            repeats=repeats,
            plans=parse_names(plans, option="--plans"),
            folds=folds,
            device=device,
            npz=npz,
            executor=executor,
            n_slurm_gpus=gpus,
        )
        resources = Resources(
            minutes=parse_minutes(slurm_time),
            partition=slurm_partition,
            gpus=gpus,
            cpus=slurm_cpus,
            memory=slurm_memory,
            setup=slurm_setup or (),
            options=parse_options(slurm_option or ()),
            parallel=jobs,
        )
        console = progress_console(width=_WIDTH_WITHOUT_TERMINAL)
        with console.status("asking nnU-Net for its trainers", spinner="line"):
            prepared = prepare_cross_validation(request)
        for notice in prepared.notices:
            print(f"Note: {notice}", file=sys.stderr)
        if executor == "slurm":
            if not run_on_slurm(prepared, resources, console=console, wait=wait):
                return
        else:
            run_here(prepared, jobs=jobs, console=console)
        _print_outcome(prepared.statuses, npz=npz, console=results_console(width=_WIDTH_WITHOUT_TERMINAL))


def _the_one(argument: str | None, option: str | None) -> str:
    """Return the configuration, which nnUNetv2_train takes as an argument and our other commands as an option."""
    if argument is not None and option not in (None, argument):
        raise ValueError(f"two configurations, {argument} and -c {option}; name one")
    if (named := argument or option) is None:
        raise ValueError("no configuration, expected 2d, 3d_fullres or another one of the plans: -c 2d")
    return named


def run_here(prepared: "CrossValidation", *, jobs: int | None, console: "Console") -> None:
    """Run on this machine what is not complete.

    Args:
        prepared: its statuses are kept up to date.
        jobs: trainings at the same time; None for as many as the machine has room for.
        console: that shows how far they are.
    """
    from nnunet_mamba.crossval.display import Display
    from nnunet_mamba.crossval.ending_signals import ending_signals_interrupt
    from nnunet_mamba.crossval.local import LocalRuns
    from nnunet_mamba.crossval.machine_share import machine_share

    statuses = prepared.statuses
    if not (n_open := prepared.n_open):
        return
    share = machine_share(n_open, n_gpus=prepared.n_gpus, jobs=jobs)
    console.print(f"{n_open} of {how_many(len(statuses), 'run')} to do, at most {share.jobs} at a time on {share}")
    runs = LocalRuns(
        statuses,
        prepared.options,
        jobs=share.jobs,
        cores=share.cores,
        gpus=share.gpus,
        tell=lambda text: console.print(f"Note: {text}", markup=False, highlight=False, soft_wrap=True),
    )
    with ending_signals_interrupt(), Display(statuses, jobs=share.jobs, console=console) as display:
        runs.run(display.show)


def run_on_slurm(prepared: "CrossValidation", resources: "Resources", *, console: "Console", wait: bool) -> bool:
    """Submit what has no job yet and follow all; return whether all jobs are over.

    Args:
        prepared: its statuses are kept up to date.
        resources: of each job.
        console: that shows how far they are.
        wait: follow the jobs.

    Raises:
        ValueError: this is no Slurm cluster, or Slurm refuses the jobs.
        ConnectionError: Slurm does not answer.
    """
    from nnunet_mamba.crossval.display import Display
    from nnunet_mamba.crossval.slurm_runs import submit_runs

    if not prepared.n_open:
        return True
    submitted = submit_runs(prepared.statuses, prepared.options, resources)
    for name, job in submitted.jobs.items():
        print(f"{name}: job {job}")
    advice = f"The jobs go on. The same command shows them again; to cancel them: scancel {' '.join(submitted.arrays)}"
    if not wait:
        print(advice)
        return False
    n_parallel = resources.parallel or len(submitted.jobs)
    try:
        with Display(prepared.statuses, jobs=n_parallel, console=console) as display:
            submitted.follow(display.show)
    except KeyboardInterrupt:
        console.print(advice)
        raise typer.Exit(130) from None
    return True


def _print_outcome(statuses: "Sequence[Status]", *, npz: bool, console: "Console") -> None:
    from nnunet_mamba.crossval.failure import OWN_ADVICE
    from nnunet_mamba.crossval.outcome import find_best_commands, scores, scores_over_seeds
    from nnunet_mamba.crossval.score_tables import fold_table, seed_table

    runs = [status.run for status in statuses]
    folds = sorted({run.fold for run in runs})
    if rows := scores(runs):
        console.print(fold_table(rows, folds))
        if of_seeds := scores_over_seeds(runs):
            console.print()
            console.print(seed_table(of_seeds))
    failed = [status for status in statuses if status.state == "failed"]
    for status in failed:
        # The other lines are those of a log, which stay as they are.
        first, *more = (with_option_names(line) if line in OWN_ADVICE else line for line in status.reason.splitlines())
        print(f"\n{status.run.name} failed: {first}", file=sys.stderr)
        for line in more:
            print(f"    {line}", file=sys.stderr)
        print(f"  All of it is in {status.run.log}", file=sys.stderr)
    if failed:
        print(
            f"\n{len(failed)} of {how_many(len(runs), 'run')} failed. Run the same command again: complete runs are "
            "not repeated, others continue.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    commands = find_best_commands(runs, npz=npz)
    several = ", for trainers with plans of their own one by one" if len(commands) > 1 else ""
    print(f"\nNext{several}:")
    for command in commands:
        print(f"  {command}")
