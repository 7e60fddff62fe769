"""``nnunet-mamba crossval``: all folds of one or more trainers with stock nnU-Net, here or on a Slurm cluster."""

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nnunet_mamba.cli.console import progress_console, results_console
from nnunet_mamba.cli.error_texts import errors_as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from rich.console import Console

    from nnunet_mamba.crossval.attempt import TrainingOptions
    from nnunet_mamba.crossval.slurm import Resources
    from nnunet_mamba.crossval.status import Status

Device = Literal["cpu", "cuda"]
_WIDTH_WITHOUT_TERMINAL = 160
_SLURM = "Slurm (with --executor slurm)"


def crossval(
    dataset: Annotated[str, typer.Argument(help="Name or number of the preprocessed data set.", show_default=False)],
    configuration: Annotated[str, typer.Argument(help="2d, 3d_fullres, …", show_default=False)],
    trainers: Annotated[
        str,
        typer.Option(metavar="A,B", help="Trainers as given to -tr, stock nnU-Net's too.", show_default=False),
    ],
    folds: Annotated[str, typer.Option(help="Such as 0-4 or 0,2; all means every fold of splits_final.json.")] = "all",
    plans: Annotated[
        str,
        typer.Option(
            metavar="P,Q",
            help="Plans as given to -p; of several, every trainer trains with each. "
            "own: each trainer with those that nnunet-mamba plan made for it.",
        ),
    ] = "nnUNetPlans",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trainings at the same time, at most; memory may allow fewer.",
            show_default="one on each GPU or every two cores; on Slurm as many as it gives",
        ),
    ] = None,
    device: Annotated[
        Device | None, typer.Option(help="nnU-Net's -device.", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    npz: Annotated[
        bool, typer.Option("--npz", help="Keep probabilities of the validation cases, which ensembling needs.")
    ] = False,
    executor: Annotated[Literal["local", "slurm"], typer.Option(help="Where to train.")] = "local",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the jobs, or only submit them.", rich_help_panel=_SLURM)
    ] = True,
    slurm_partition: Annotated[
        str | None, typer.Option(help="Partition.", rich_help_panel=_SLURM, show_default="the cluster's")
    ] = None,
    slurm_time: Annotated[
        str,
        typer.Option(
            help="Time of a job, minutes or D-HH:MM:SS; a longer training continues in another.", rich_help_panel=_SLURM
        ),
    ] = "24:00:00",
    slurm_gpus: Annotated[
        int | None,
        typer.Option(min=0, help="GPUs of a job.", rich_help_panel=_SLURM, show_default="1, with --device cpu 0"),
    ] = None,
    slurm_cpus: Annotated[int, typer.Option(min=1, help="Cores of a job.", rich_help_panel=_SLURM)] = 8,
    slurm_memory: Annotated[
        str | None,
        typer.Option(help="Memory of a job, such as 32G.", rich_help_panel=_SLURM, show_default="the cluster's"),
    ] = None,
    slurm_setup: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMMAND",
            help="Shell command before the training, such as 'module load cuda'; repeatable.",
            rich_help_panel=_SLURM,
            show_default=False,
        ),
    ] = None,
    slurm_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Any other option of sbatch, such as account=imaging; repeatable.",
            rich_help_panel=_SLURM,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train and validate all folds of one or more trainers with stock nnU-Net, side by side.

    What is complete is not trained again, and what was interrupted continues: after a crash or Ctrl-C, run the same
    command again. Ends with the Dice of every fold and nnU-Net's command that compares the trainers.
    """
    with errors_as_text(workers=""):
        from nnunet_mamba.crossval.attempt import TrainingOptions
        from nnunet_mamba.crossval.nnunet_side import prepare
        from nnunet_mamba.crossval.runs import Run
        from nnunet_mamba.crossval.selection import (
            find_dataset,
            pair_models,
            parse_folds,
            parse_names,
            refuse_missing_device,
            refuse_teacher_of_other_folds,
        )
        from nnunet_mamba.crossval.slurm import Resources, parse_minutes, parse_options
        from nnunet_mamba.crossval.status import statuses_of
        from nnunet_mamba.system.nnunet_folders import nnunet_folder, nnunet_folder_if_set

        if os.name != "posix":
            raise ValueError("nnunet-mamba crossval needs Linux or macOS; train the folds with nnUNetv2_train")
        preprocessed, results = nnunet_folder("nnUNet_preprocessed"), nnunet_folder("nnUNet_results").absolute()
        # Its splits may be wanted, and the trainings read it.
        nnunet_folder_if_set("nnUNet_raw")
        name = find_dataset(dataset, preprocessed)
        trainer_names = parse_names(trainers, option="--trainers")
        models = pair_models(trainer_names, parse_names(plans, option="--plans"), preprocessed / name)
        gpus = slurm_gpus if slurm_gpus is not None else int(device != "cpu")
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
            plan_names = list(dict.fromkeys(plan for _, plan in models))
            found = prepare(preprocessed / name, configuration, plans=plan_names, trainers=trainer_names)
        refuse_missing_device(device, executor=executor, n_gpus=found.n_gpus, n_slurm_gpus=gpus)
        for model in models:
            if model in found.notices:
                print(f"Note: {found.notices[model]}", file=sys.stderr)
        numbers = parse_folds(folds, found.n_folds)
        refuse_teacher_of_other_folds(found.teacher_fold, numbers)
        runs = [
            Run(dataset=name, configuration=configuration, trainer=trainer, plans=plan, fold=fold, results=results)
            for trainer, plan in models
            for fold in numbers
        ]
        statuses = statuses_of(runs, npz=npz, teachers=found.teachers)
        if executor == "slurm":
            options = TrainingOptions(
                device=device or ("cuda" if gpus else "cpu"), npz=npz, variables=_nnunet_variables()
            )
            if not _on_slurm(statuses, options, resources, console=console, wait=wait):
                return
        else:
            n_gpus = 0 if device == "cpu" else found.n_gpus
            options = TrainingOptions(device=device or ("cuda" if n_gpus else "cpu"), npz=npz)
            _here(statuses, options, n_gpus=n_gpus, jobs=jobs, console=console)
        _print_outcome(statuses, npz=npz, console=results_console(width=_WIDTH_WITHOUT_TERMINAL))


def _nnunet_variables() -> dict[str, str]:
    """Return what a job must find in its environment; clusters may start jobs with another one."""
    return {name: value for name, value in os.environ.items() if name.lower().startswith("nnunet")}


def _here(
    statuses: "Sequence[Status]", options: "TrainingOptions", *, n_gpus: int, jobs: int | None, console: "Console"
) -> None:
    from nnunet_mamba.crossval.capacity import cores_of_this_job, default_trainings, visible_gpus
    from nnunet_mamba.crossval.display import Display
    from nnunet_mamba.crossval.local import LocalRuns

    n_open = sum(not status.is_over for status in statuses)
    if not n_open:
        return
    cores, gpus = cores_of_this_job(), visible_gpus(n_gpus)
    jobs = min(jobs or default_trainings(n_open, cores=cores, gpus=gpus), n_open)
    where = f"{len(gpus)} GPUs and {cores} cores" if gpus else f"{cores} cores"
    console.print(f"{n_open} of {len(statuses)} runs to do, at most {jobs} at a time on {where}")
    with _ending_signals_interrupt(), Display(statuses, jobs=jobs, console=console) as display:
        LocalRuns(statuses, options, jobs=jobs, cores=cores, gpus=gpus).run(display.show)


@contextmanager
def _ending_signals_interrupt() -> "Iterator[None]":
    """Stop the trainings in order, too, when the system or a closed terminal ends this process."""

    def interrupt(number: int, frame: "FrameType | None") -> None:
        raise KeyboardInterrupt

    # What the caller has it ignore, as nohup does, stays ignored.
    heard = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _on_slurm(
    statuses: "Sequence[Status]", options: "TrainingOptions", resources: "Resources", *, console: "Console", wait: bool
) -> bool:
    """Submit what has no job yet and follow all; return whether all jobs are over."""
    from nnunet_mamba.crossval.display import Display
    from nnunet_mamba.crossval.runs import LOGS
    from nnunet_mamba.crossval.slurm import JobRecord, slurm_executor, submit_missing, watch

    folder = statuses[0].run.results / statuses[0].run.dataset
    if all(status.is_over for status in statuses):
        return True
    executor = slurm_executor(folder / LOGS / "slurm", resources)
    jobs = submit_missing(executor, statuses, options, JobRecord(folder))
    for name, job in jobs.items():
        print(f"{name}: job {job}")
    arrays = " ".join(sorted({job.partition("_")[0] for job in jobs.values()}))
    advice = f"The jobs go on. The same command shows them again; to cancel them: scancel {arrays}"
    if not wait:
        print(advice)
        return False
    try:
        with Display(statuses, jobs=resources.parallel or len(jobs), console=console) as display:
            watch(statuses, jobs, display.show, npz=options.npz, logs=executor.folder)
    except KeyboardInterrupt:
        console.print(advice)
        raise typer.Exit(130) from None
    return True


def _print_outcome(statuses: "Sequence[Status]", *, npz: bool, console: "Console") -> None:
    from nnunet_mamba.crossval.display import score_table
    from nnunet_mamba.crossval.outcome import find_best_commands, scores

    runs = [status.run for status in statuses]
    folds = sorted({run.fold for run in runs})
    if rows := scores(runs):
        console.print(score_table(rows, folds))
    failed = [status for status in statuses if status.state == "failed"]
    for status in failed:
        first, *more = status.reason.splitlines()
        print(f"\n{status.run.name} failed: {first}", file=sys.stderr)
        for line in more:
            print(f"    {line}", file=sys.stderr)
        print(f"  All of it is in {status.run.log}", file=sys.stderr)
    if failed:
        print(
            f"\n{len(failed)} of {len(runs)} runs failed. Run the same command again: complete runs are not repeated, "
            "others continue.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    commands = find_best_commands(runs, npz=npz)
    several = ", for trainers with plans of their own one by one" if len(commands) > 1 else ""
    print(f"\nNext{several}:")
    for command in commands:
        print(f"  {command}")
