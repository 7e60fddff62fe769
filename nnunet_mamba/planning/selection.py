"""What to plan: the trainers and configurations that suit the data set and the user's wishes."""

from collections.abc import Sequence

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.planning.plans_files import BasePlans, require_own_plans
from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer, resolve_trainers
from nnunet_mamba.planning.wishes import Wishes, by

CONFIGURATIONS = ("2d", "3d_lowres", "3d_fullres")

Selection = list[tuple[ResolvedTrainer, list[str]]]


def select(base: BasePlans, names: Sequence[str], wishes: Wishes) -> Selection:
    """Return the trainers to plan for, each with its configurations.

    Args:
        base: the plans to begin with.
        names: of trainers; empty for all that suit.
        wishes: of the user.

    Raises:
        ValueError: a trainer or configuration that the user named is unknown or does not suit, or nothing suits.
    """
    trainers = resolve_trainers(names or trainer_names(), base)
    _refuse_unknown_configurations(base, wishes)
    selection = []
    for trainer in trainers:
        suitable = _suitable_configurations(trainer, wishes)
        unsuitable = [name for name in wishes.configurations if name not in suitable]
        if unsuitable and names:
            raise _misfit(trainer, unsuitable[0], wishes)
        # A trainer that nobody named is left out unless it suits all that was asked for.
        if suitable and not unsuitable:
            selection.append((trainer, suitable))
    if not selection:
        raise _nothing_to_plan(base, trainers, wishes)
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


def _refuse_unknown_configurations(base: BasePlans, wishes: Wishes) -> None:
    known = [name for name in CONFIGURATIONS if name in base.configurations]
    for name in wishes.configurations:
        if name not in known:
            there = ", ".join(known) or "none"
            raise ValueError(f"`configuration` {name}: {base.name} can be planned anew for {there}; pass one")


def _suitable_configurations(trainer: ResolvedTrainer, wishes: Wishes) -> list[str]:
    suitable = []
    for name in wishes.configurations or CONFIGURATIONS:
        if name in trainer.base.configurations:
            dims = trainer.base.n_axes(name)
            if dims in trainer.preset.spatial_dims and len(wishes.patch_size or range(dims)) == dims:
                suitable.append(name)
    return suitable


def _misfit(trainer: ResolvedTrainer, configuration: str, wishes: Wishes) -> ValueError:
    """Return the error that tells why a trainer cannot be planned for with a configuration."""
    given = f", the patch size has {len(wishes.patch_size)} numbers" if wishes.patch_size else ""
    dims = trainer.base.n_axes(configuration)
    return ValueError(
        f"`configuration` {configuration} has {dims} axes: {trainer.name} trains {trainer.dimensions}{given}; leave it "
        "out"
    )


def _nothing_to_plan(base: BasePlans, trainers: Sequence[ResolvedTrainer], wishes: Wishes) -> ValueError:
    """Return the error that tells why no configuration suits any trainer, and what to change."""
    axes = {name: base.n_axes(name) for name in wishes.configurations or CONFIGURATIONS if name in base.configurations}
    if not axes:
        there = ", ".join(base.configurations) or "nothing"
        return ValueError(f"nothing to plan: {base.name} has none of {', '.join(CONFIGURATIONS)}, but {there}")
    if wishes.patch_size and len(wishes.patch_size) not in axes.values():
        counts = " and ".join(f"{name} has {n}" for name, n in axes.items())
        numbers = " or ".join(str(n) for n in sorted(set(axes.values())))
        return ValueError(
            f"`patch_size` {by(wishes.patch_size)} has {len(wishes.patch_size)} axes, and {counts}: nothing to plan; "
            f"give {numbers} numbers, or leave it out",
        )
    networks = " and ".join(f"{n}D" for n in sorted({n for trainer in trainers for n in trainer.preset.spatial_dims}))
    counts = " and ".join(f"{name} has {n} axes" for name, n in axes.items())
    names = ", ".join(trainer.name for trainer in trainers)
    return ValueError(f"`trainers` {names}: trains {networks}, and {counts}: nothing to plan; choose another")
