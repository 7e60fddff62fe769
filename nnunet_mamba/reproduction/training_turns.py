"""Which trainings can begin: those that learn from a teacher come after it, seed by seed."""

from collections.abc import Iterable, Sequence

from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining
from nnunet_mamba.reproduction.trainings import trained_models
from nnunet_mamba.trainer_name import TrainerName


def in_turns(trainings: Sequence[PlannedTraining], rows: Iterable[PlannedRow]) -> list[list[PlannedTraining]]:
    """Return the trainings that need no other one, and then those that learn from a teacher, where there are any.

    Args:
        trainings: of one data set.
        rows: of the table.
    """
    students = {training for row in rows if row.teachers for training in row.trainings}
    turns = [[one for one in trainings if (one in students) is later] for later in (False, True)]
    return [turn for turn in turns if turn]


def taught_seeds(training: PlannedTraining, rows: Iterable[PlannedRow], repeats: int) -> set[int]:
    """Return the seeds that can be trained: all of them, or those whose teachers are trained with the same seed.

    Args:
        training: of a row.
        rows: of the table.
        repeats: number of seeds.
    """
    seeds = set(range(1, repeats + 1))
    teachers = {one for row in rows if training in row.trainings for one in row.teachers if one.data == training.data}
    for teacher in teachers:
        trained = (TrainerName.parse(model.name.trainer).seed for model in trained_models(teacher, repeats))
        seeds &= {seed for seed in trained if seed is not None}
    return seeds
