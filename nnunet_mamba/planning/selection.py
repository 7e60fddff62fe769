"""What to plan: the trainers and configurations that suit the data set and what the user asked for."""

from collections.abc import Sequence

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.networks.catalogue import missing_packages
from nnunet_mamba.planning.patches import format_size
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import BasePlans, require_own_plans
from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer, resolve_trainers

CONFIGURATIONS = ("2d", "3d_lowres", "3d_fullres")

Selection = list[tuple[ResolvedTrainer, list[str]]]


def select(base: BasePlans, names: Sequence[str], request: PlanningRequest) -> Selection:
    """Return the trainers to plan for, each with its configurations.

    Args:
        base: the plans to begin with.
        names: of trainers; empty for all that suit and whose packages are installed.
        request: what the user has chosen.

    Raises:
        ValueError: a trainer or configuration that the user named is unknown or does not suit, or nothing suits.
        ModuleNotFoundError: a named trainer's network needs an optional package that is not installed.
    """
    trainers = resolve_trainers(names or trainer_names(), base)
    if names:
        for trainer in trainers:
            trainer.trainer.require_packages()
    else:
        # Nobody asked for those that cannot train here.
        trainers = [trainer for trainer in trainers if not missing_packages(trainer.preset)]
    _refuse_unknown_configurations(base, request)
    selection = []
    for trainer in trainers:
        suitable = _suitable_configurations(trainer, request)
        unsuitable = [name for name in request.configurations if name not in suitable]
        if unsuitable and names:
            raise _misfit(trainer, unsuitable[0], request)
        # A trainer that nobody named is left out unless it suits all that was asked for.
        if suitable and not unsuitable:
            selection.append((trainer, suitable))
    if not selection:
        raise _nothing_to_plan(base, trainers, request)
    return selection


def refuse_plans_of_others(selection: Selection) -> None:
    """Raise before anything is measured if plans to be written have the name of a file that others wrote.

    Args:
        selection: what to plan.

    Raises:
        FileExistsError: there is such a file.
    """
    for trainer, _ in selection:
        require_own_plans(trainer.base.folder, trainer.plans_name)


def _refuse_unknown_configurations(base: BasePlans, request: PlanningRequest) -> None:
    known = [name for name in CONFIGURATIONS if name in base.configurations]
    for name in request.configurations:
        if name not in known:
            there = ", ".join(known) or "none"
            raise ValueError(f"`configuration` {name}: {base.name} can be planned anew for {there}; pass one")


def _suitable_configurations(trainer: ResolvedTrainer, request: PlanningRequest) -> list[str]:
    suitable = []
    for name in request.configurations or CONFIGURATIONS:
        if name in trainer.base.configurations:
            dims = trainer.base.n_axes(name)
            if dims in trainer.preset.spatial_dims and len(request.patch_size or range(dims)) == dims:
                suitable.append(name)
    return suitable


def _misfit(trainer: ResolvedTrainer, configuration: str, request: PlanningRequest) -> ValueError:
    """Return the error that tells why a trainer cannot be planned for with a configuration."""
    given = f", the patch size has {len(request.patch_size)} numbers" if request.patch_size else ""
    dims = trainer.base.n_axes(configuration)
    return ValueError(
        f"`configuration` {configuration} has {dims} axes: {trainer.name} trains {trainer.dimensions}{given}; leave it "
        "out"
    )


def _nothing_to_plan(base: BasePlans, trainers: Sequence[ResolvedTrainer], request: PlanningRequest) -> ValueError:
    """Return the error that tells why no configuration suits any trainer, and what to change."""
    axes = {name: base.n_axes(name) for name in request.configurations or CONFIGURATIONS if name in base.configurations}
    if not axes:
        there = ", ".join(base.configurations) or "nothing"
        return ValueError(f"nothing to plan: {base.name} has none of {', '.join(CONFIGURATIONS)}, but {there}")
    if request.patch_size and len(request.patch_size) not in axes.values():
        counts = " and ".join(f"{name} has {n}" for name, n in axes.items())
        numbers = " or ".join(str(n) for n in sorted(set(axes.values())))
        return ValueError(
            f"`patch_size` {format_size(request.patch_size)} has {len(request.patch_size)} axes, and {counts}: nothing "
            f"to plan; give {numbers} numbers, or leave it out",
        )
    networks = " and ".join(f"{n}D" for n in sorted({n for trainer in trainers for n in trainer.preset.spatial_dims}))
    counts = " and ".join(f"{name} has {n} axes" for name, n in axes.items())
    names = ", ".join(trainer.name for trainer in trainers)
    return ValueError(f"`trainers` {names}: trains {networks}, and {counts}: nothing to plan; choose another")
