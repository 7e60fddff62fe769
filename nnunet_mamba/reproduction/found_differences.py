"""What a run does otherwise than the paper and its experiment declare: other images, budget, seeds and batches."""

from collections.abc import Iterator, Mapping, Sequence

from nnunet_mamba.planning.trainer_lookup import trainer_class
from nnunet_mamba.reproduction.conversion import ConvertedData
from nnunet_mamba.reproduction.own_plans import OwnPlans
from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.trainer_name import TrainerName

_REASONS = {"memory": "more do not fit into the memory", "5 % rule": "there are few images"}
_OF_RECIPES = {
    "num_epochs": "{} epochs",
    "optimizer": "{}",
    "initial_lr": "a first learning rate of {:g}",
    "half_waves": "{} half waves of the cosine",
    "weight_decay": "a weight decay of {:g}",
    "largest_batch_size": "batches of {}",
    "mirrors": "mirroring {}",
}


def differences_of(
    request: ReproductionRequest,
    converted: Sequence[ConvertedData],
    plans: Mapping[PlannedTraining, OwnPlans],
    rows: Sequence[PlannedRow],
) -> list[str]:
    """Return all differences between a run and the paper, in sentences.

    Args:
        request: of the run.
        converted: data sets.
        plans: of the trainings.
        rows: of the table, those that could be run and the others.
    """
    found = [*request.experiment.differences, *map(_images, converted)]
    # What follows is advice on other splits.
    found += [f"{each.data.dataset}: {each.warning.partition(';')[0]}." for each in converted if each.warning]
    if request.budget is not None:
        found.append(f"Every network trains for {request.budget}, and as long as its paper says without a budget.")
    if request.repeats != request.experiment.repeats:
        printed = request.experiment.repeats
        found.append(
            f"Every training is run from {_seeds(request.repeats)}, where the paper has {_seeds(printed)}."
            if printed > 1
            else f"Every training is run from {_seeds(request.repeats)}; the paper tells of no repeats."
        )
    found += [*_stand_ins(rows), *_recipes(request, plans), *_batches(plans), *_tested_models(request, rows)]
    return list(dict.fromkeys(found))


def _images(converted: ConvertedData) -> str:
    data, printed = converted.data, converted.data.n_images
    of = "" if converted.n_images == printed else f", where the paper has {printed}"
    if not data.split:
        return f"{data.dataset}: {converted.n_images} images are tested with{of}."
    how = "" if converted.n_images == printed else " The split keeps the paper's ratio."
    return f"{data.dataset}: {converted.n_images} images{of}: {converted.source}.{how}"


def _stand_ins(rows: Sequence[PlannedRow]) -> Iterator[str]:
    """Yield which rows are trained with another network than the printed one."""
    for row in rows:
        if row.row.stand_in is not None and not row.reason:
            yield f"{row.row.method} is not the printed network: {row.row.stand_in.preset} stands in for it."


def _seeds(n_seeds: int) -> str:
    return "one seed" if n_seeds == 1 else f"{n_seeds} seeds"


def _recipes(request: ReproductionRequest, plans: Mapping[PlannedTraining, OwnPlans]) -> Iterator[str]:
    """Yield which networks train by another recipe than that of the table's paper: networks have their own papers'."""
    experiment = request.experiment
    wanted = trainer_class(f"{experiment.trainer}_{experiment.recipe}").recipe
    for training, own in plans.items():
        differing = {
            text: (getattr(own.recipe, name), getattr(wanted, name))
            for name, text in _OF_RECIPES.items()
            if getattr(own.recipe, name) != getattr(wanted, name) and not (name == "num_epochs" and request.budget)
        }
        if differing:
            here = ", ".join(text.format(one) for text, (one, _) in differing.items())
            there = ", ".join(text.format(other) for text, (_, other) in differing.items())
            yield (
                f"{_short_name(training)} trains by a recipe of its own, with {here}; that of the table's paper has "
                f"{there}."
            )


def _batches(plans: Mapping[PlannedTraining, OwnPlans]) -> Iterator[str]:
    """Yield which trainings have smaller batches than their recipes'."""
    smaller: dict[str, list[str]] = {}
    for training, own in plans.items():
        largest = own.recipe.largest_batch_size
        if largest is not None and own.batch_size < largest:
            reason = _REASONS.get(own.limited_by, own.limited_by)
            told = f"{training.data.dataset}: batches of {own.batch_size}, where the recipe has {largest} ({reason})"
            smaller.setdefault(told, []).append(_short_name(training))
    yield from (f"{told}: {', '.join(names)}." for told, names in smaller.items())


def _short_name(training: PlannedTraining) -> str:
    return str(TrainerName.parse(training.trainer).without_budget_and_seed())


def _tested_models(request: ReproductionRequest, rows: Sequence[PlannedRow]) -> Iterator[str]:
    """Yield which external tests stand on models of fewer data sets than in the paper."""
    for row in rows:
        wanted = request.experiment.tests.get(row.row.setting.dataset, ())
        there = [training.data.dataset for training in row.trainings]
        if not row.reason and len(there) < len(wanted):
            yield (
                f"{row.row.setting.dataset}: {row.row.method} is tested with models of {' and '.join(there)} alone, in "
                f"the paper with those of {' and '.join(wanted)}."
            )
