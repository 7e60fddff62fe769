"""What a run does otherwise than the paper and its experiment declare: other images, budget, seeds and batches."""

from collections.abc import Iterator, Mapping, Sequence

from nnunet_mamba.reproduction.conversion import ConvertedData
from nnunet_mamba.reproduction.own_plans import OwnPlans
from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining
from nnunet_mamba.reproduction.request import ReproductionRequest


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
    found += [f"{data.data.folder_name}: {data.warning}." for data in converted if data.warning]
    if request.budget is not None:
        found.append(f"Every network trains for {request.budget}, and as long as its paper says without a budget.")
    if request.repeats != request.experiment.repeats:
        printed = request.experiment.repeats
        found.append(
            f"Every training is run from {_seeds(request.repeats)}, where the paper has {_seeds(printed)}."
            if printed > 1
            else f"Every training is run from {_seeds(request.repeats)}; the paper tells of no repeats."
        )
    found += [*_batches(plans), *_tested_models(request, rows)]
    return list(dict.fromkeys(found))


def _images(converted: ConvertedData) -> str:
    data, printed = converted.data, converted.data.n_images
    of = "" if converted.n_images == printed else f", where the paper has {printed}"
    if not data.split:
        return f"{data.dataset}: {converted.n_images} images are tested with{of}."
    how = "" if converted.n_images == printed else " The split keeps the paper's ratio."
    return f"{data.dataset}: {converted.n_images} images{of}: {converted.source}.{how}"


def _seeds(n_seeds: int) -> str:
    return "one seed" if n_seeds == 1 else f"{n_seeds} seeds"


def _batches(plans: Mapping[PlannedTraining, OwnPlans]) -> Iterator[str]:
    """Yield which trainings have smaller batches than their paper's."""
    for training, own in plans.items():
        if own.largest_batch is not None and own.batch_size < own.largest_batch:
            reason = {"memory": "for want of memory", "5 % rule": "since there are few images"}.get(own.limited_by, "")
            yield (
                f"{training.trainer} on {training.data.dataset} has batches of {own.batch_size}, and its paper "
                f"{own.largest_batch}{reason and ', '}{reason}."
            )


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
