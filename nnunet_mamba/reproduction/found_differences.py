"""What a run does otherwise than the paper and its experiment declare: other images, budget, seeds and batches."""

from collections.abc import Iterator, Mapping, Sequence

from nnunet_mamba.planning.patches import format_size
from nnunet_mamba.planning.trainer_lookup import trainer_class
from nnunet_mamba.reproduction.conversion import ConvertedData
from nnunet_mamba.reproduction.own_plans import OwnPlans
from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.augmentation.choices import FLIPS_AND_ROTATIONS, NNUNET, NONE, PHOTOGRAPHS
from nnunet_mamba.training.recipes import Recipe

_AUGMENTATIONS = {
    NONE: "images as they are",
    FLIPS_AND_ROTATIONS: "images flipped and rotated",
    NNUNET: "nnU-Net's augmentation",
    PHOTOGRAPHS: "the augmentation of photographs",
}
_REASONS = {"memory": "more do not fit into the memory", "5 % rule": "there are few images"}


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
    # Plans of trainings that failed say nothing about the table.
    used = {training for row in rows if not row.reason for training in (*row.trainings, *row.teachers)}
    plans = {training: own for training, own in plans.items() if training in used}
    found += [*_stand_ins(rows), *_recipes(request, plans), *_batches(plans), *_patches(plans), *_other_plans(plans)]
    found += _tested_models(request, rows)
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
    theirs = _told(wanted, with_epochs=request.budget is None)
    for training, own in plans.items():
        ours = _told(own.recipe, with_epochs=request.budget is None)
        if differing := [both for both in zip(ours, theirs, strict=True) if both[0] != both[1]]:
            here, there = (", ".join(words) for words in zip(*differing, strict=True))
            yield (
                f"{_short_name(training)} trains by a recipe of its own, with {here}; that of the table's paper has "
                f"{there}."
            )


def _told(recipe: Recipe, *, with_epochs: bool) -> list[str]:
    """Return what a recipe says, in words: as many, in the same order, for every recipe."""
    return [
        *([f"{recipe.num_epochs} epochs"] if with_epochs else []),
        f"{recipe.optimizer} and a weight decay of {recipe.weight_decay:g}",
        f"a learning rate of {recipe.initial_lr:g} that {_schedule(recipe)}",
        "batches of any size" if recipe.largest_batch_size is None else f"batches of {recipe.largest_batch_size}",
        _AUGMENTATIONS.get(recipe.augmentation, "another augmentation"),
    ]


def _schedule(recipe: Recipe) -> str:
    if recipe.half_waves == 0:
        return "stays"
    if recipe.final_lr is None:
        return "falls to 0 as a polynomial"
    if recipe.half_waves == 1:
        return f"falls to {recipe.final_lr:g} as one cosine"
    return f"goes to {recipe.final_lr:g} and back as a cosine of {recipe.half_waves} half waves"


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


def _patches(plans: Mapping[PlannedTraining, OwnPlans]) -> Iterator[str]:
    """Yield which trainings see parts of the images that their papers show whole."""
    smaller: dict[str, list[str]] = {}
    for training, own in plans.items():
        size = training.data.size
        whole = own.whole_patch if size is None else (size, size)
        if any(ours < theirs for ours, theirs in zip(own.patch_size, whole, strict=False)):
            of = "nnU-Net's own plans have" if size is None else "the images have"
            told = f"{training.data.dataset}: patches of {format_size(own.patch_size)}, where {of} {format_size(whole)}"
            smaller.setdefault(told, []).append(_short_name(training))
    yield from (f"{told} (more do not fit into the memory): {', '.join(names)}." for told, names in smaller.items())


def _other_plans(plans: Mapping[PlannedTraining, OwnPlans]) -> Iterator[str]:
    """Yield which trainings keep plans of an earlier run for another machine."""
    for training, own in plans.items():
        if own.made_for:
            yield (
                f"{training.data.dataset}: {_short_name(training)} keeps its plans for {own.made_for}, not for what "
                "was asked, since trainings with them have begun."
            )


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
