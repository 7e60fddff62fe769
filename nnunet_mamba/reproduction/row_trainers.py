"""Which trainer trains the network of a row, or why none does."""

from dataclasses import replace

from nnunet_mamba.networks.catalogue import missing_packages
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.presets.trainer_names import trainer_of
from nnunet_mamba.published_results import OurNetwork, PublishedRow
from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.request import Budget
from nnunet_mamba.trainer_name import TrainerName


class NoTrainerError(ValueError):
    """A row has no trainer; the text is a sentence that says why."""


def network_of(row: PublishedRow) -> OurNetwork | None:
    """Return the network that stands for a row: the same as printed, or the nearest; None where there is none."""
    return row.network or row.stand_in


def trainers_of_row(row: PublishedRow, experiment: Experiment, budget: Budget | None) -> tuple[str, ...]:
    """Return the trainer of a row, without a seed, and behind it that of its teacher where it has one.

    Args:
        row: of the experiment's table.
        experiment: that tells the recipe.
        budget: None for that of the recipe.

    Raises:
        NoTrainerError: there is none; says why.
    """
    change = experiment.methods.get(row.method)
    if change is not None and change.missing:
        raise NoTrainerError(change.missing)
    if (network := network_of(row)) is None:
        raise NoTrainerError("There is no such network here.")
    preset = PRESETS[network.preset]
    if missing := missing_packages(preset):
        raise NoTrainerError(
            f"{preset.name} needs {' and '.join(missing)}: pip install 'nnunet-mamba[{preset.extra}]'."
        )
    try:
        trainer = trainer_of(network.preset, network.overrides, network.trainer)
    except ValueError as error:
        raise NoTrainerError(f"{error}.") from error
    teachers = (change.teacher,) if change is not None and change.teacher else ()
    return tuple(_with_suffixes(base, experiment.recipe, budget) for base in (trainer, *teachers))


def _with_suffixes(base: str, recipe: str, budget: Budget | None) -> str:
    name = replace(TrainerName.parse(base), recipe=recipe)
    if budget is not None:
        name = replace(name, epochs=budget.epochs, iterations=budget.iterations)
    return str(name)
