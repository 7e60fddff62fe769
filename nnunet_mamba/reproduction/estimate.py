"""What a run would do, and about how long it would take: nothing is written."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from nnunet_mamba.planning.step_process import TrainingStepError
from nnunet_mamba.reproduction.nnunet_planning import is_preprocessed
from nnunet_mamba.reproduction.own_plans import seconds_of_training
from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining, planned_rows, trainings_by_data
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.trainings import trained_models


@dataclass(frozen=True, kw_only=True)
class ExpectedTraining:
    """A training that a run would do.

    Args:
        training: the network and its data.
        n_seeds: seeds that are to be trained.
        n_trained: seeds of them that are there already.
        hours: that the steps of the others take one after the other; nan where they are not measured.
        reason: why they are not; "" where they are, or where nobody asked.
    """

    training: PlannedTraining
    n_seeds: int
    n_trained: int
    hours: float = math.nan
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a run would do.

    Args:
        rows: of the table.
        trainings: that they need.
    """

    rows: list[PlannedRow]
    trainings: list[ExpectedTraining]

    @property
    def hours(self) -> float:
        """Of all trainings together; nan where one is not known."""
        return sum(each.hours for each in self.trainings)


def expectation(
    request: ReproductionRequest, *, measures: bool, on_step: Callable[[str], None] = lambda text: None
) -> Expectation:
    """Return what a run would do.

    A step can be measured once nnU-Net and ``nnunet-mamba plan`` have chosen batch and patch.

    Args:
        request: of the run.
        measures: train a few steps of each network.
        on_step: is told what is measured next.

    Raises:
        ValueError: a method is none of the table's.
    """
    rows = planned_rows(request)
    found = []
    for data, trainings in trainings_by_data(rows).items():
        unfit = ""
        try:
            is_planned = is_preprocessed(data)
        except ValueError as error:
            is_planned, unfit = False, str(error)
        for training in trainings:
            n_trained = len(trained_models(training, request.repeats)) if is_planned else 0
            n_open = request.repeats - n_trained
            hours, reason = math.nan, ""
            if not n_open:
                hours = 0.0
            elif not measures:
                pass
            elif not is_planned:
                reason = unfit or "its data are not prepared yet"
            else:
                on_step(f"{training.trainer} on {data.folder_name}")
                try:
                    hours = n_open * seconds_of_training(training, request) / 3600
                except (TrainingStepError, OSError, ValueError) as error:
                    reason = str(error)
            found.append(
                ExpectedTraining(
                    training=training, n_seeds=request.repeats, n_trained=n_trained, hours=hours, reason=reason
                )
            )
    return Expectation(rows=rows, trainings=found)
