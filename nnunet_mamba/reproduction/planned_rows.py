"""The rows of a table, each with the trainings that it needs, or with the reason why it cannot be run."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from nnunet_mamba.published_results import ROWS, PublishedRow
from nnunet_mamba.reproduction.experiment import Experiment, PreparedData
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.row_trainers import NoTrainerError, trainers_of_row
from nnunet_mamba.trainer_name import TrainerName


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """One network on one data set, with all seeds.

    Args:
        data: that it is trained with.
        trainer: its name without a seed.
    """

    data: PreparedData
    trainer: str

    def trainer_with(self, seed: int) -> str:
        """Return the trainer's name with a seed."""
        return str(TrainerName.parse(self.trainer).with_seed(seed))


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """A row of a table.

    Args:
        row: as printed.
        trainings: whose scores stand beside it: one, or one for each data set whose models are tested.
        teachers: trainings that these need.
        test: data of an external test; None where the held-out images are scored.
        reason: why it cannot be run, in sentences; "" where it can.
    """

    row: PublishedRow
    trainings: tuple[PlannedTraining, ...] = ()
    teachers: tuple[PlannedTraining, ...] = ()
    test: PreparedData | None = None
    reason: str = ""

    @property
    def trainer(self) -> str:
        """The trainer's name without a seed, "" without one."""
        return self.trainings[0].trainer if self.trainings else ""

    def stopped(self, reason: str) -> "PlannedRow":
        """Return the row with the reason why it cannot be run; the first one stays."""
        return self if self.reason else replace(self, reason=reason)


def rows_of(experiment: Experiment) -> list[PublishedRow]:
    """Return the rows of an experiment's table, in the order of print."""
    return [row for row in ROWS if (row.table.paper.name, row.table.number) == (experiment.paper, experiment.table)]


def planned_rows(request: ReproductionRequest) -> list[PlannedRow]:
    """Return what is to be run for each row, in the order of print.

    Args:
        request: which rows, of which files.

    Raises:
        ValueError: a method is none of the table's; names the nearest ones.
    """
    rows = rows_of(request.experiment)
    wanted = _wanted(request.rows, rows)
    return [_planned(row, request) for row in rows if row.method in wanted]


def trainings_by_data(rows: Iterable[PlannedRow]) -> dict[PreparedData, list[PlannedTraining]]:
    """Return the trainings that rows need and that can be run, each once, by their data; teachers come first."""
    found: dict[PlannedTraining, None] = {}
    runnable = [row for row in rows if not row.reason]
    for row in runnable:
        found |= dict.fromkeys((*row.teachers, *row.trainings))
    by_data: dict[PreparedData, list[PlannedTraining]] = {}
    for training in found:
        by_data.setdefault(training.data, []).append(training)
    return by_data


def _wanted(texts: Sequence[str], rows: Sequence[PublishedRow]) -> set[str]:
    """Return the methods in lists with commas; some methods have commas in their own names."""
    methods = {row.method.lower(): row.method for row in rows}
    longest_first = sorted(methods, key=len, reverse=True)
    found = set()
    for text in texts:
        rest = text.strip()
        while rest:
            name = next((one for one in longest_first if re.match(rf"{re.escape(one)}\s*(,|$)", rest.lower())), None)
            if name is None:
                raise _unknown(rest.partition(",")[0].strip(), methods)
            found.add(methods[name])
            rest = rest[len(name) :].lstrip().removeprefix(",").lstrip()
    return found or set(methods.values())


def _unknown(name: str, methods: Mapping[str, str]) -> ValueError:
    nearest = [methods[one] for one in get_close_matches(name.lower(), methods, n=3, cutoff=0.4)]
    meant = f"did you mean {' or '.join(nearest)}?" if nearest else f"there are {', '.join(methods.values())}"
    return ValueError(f"`rows` {name!r} is no method of the table: {meant}")


def _planned(row: PublishedRow, request: ReproductionRequest) -> PlannedRow:
    experiment, tested = request.experiment, row.setting.dataset
    trained_on = experiment.tests.get(tested, (tested,))
    try:
        trainer, *teachers = trainers_of_row(row, experiment, request.budget)
    except NoTrainerError as error:
        return PlannedRow(row=row, reason=str(error))
    given = [dataset for dataset in trained_on if dataset in request.places]

    def trainings(name: str) -> tuple[PlannedTraining, ...]:
        datasets = given or trained_on
        return tuple(
            PlannedTraining(data=experiment.data_of(row.method, dataset), trainer=name) for dataset in datasets
        )

    planned = PlannedRow(
        row=row,
        trainings=trainings(trainer),
        teachers=tuple(training for name in teachers for training in trainings(name)),
        test=experiment.data[tested] if tested in experiment.tests else None,
    )
    missing = [dataset for dataset in ([tested] if tested in experiment.tests else []) if dataset not in request.places]
    missing += [] if given else trained_on
    if missing:
        return planned.stopped(_not_given(missing))
    return planned.stopped(_changed_by_environment()) if teachers else planned


def _changed_by_environment() -> str:
    """Return why no network is to be taught: variables that change its result under an unchanged name; or ""."""
    from nnunet_mamba.training.distillation.settings import SETTINGS_VARIABLE
    from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE

    if not (found := [name for name in (TEACHER_VARIABLE, SETTINGS_VARIABLE) if os.environ.get(name)]):
        return ""
    what = "another teacher" if found == [TEACHER_VARIABLE] else "other terms or another teacher"
    return (
        f"{' and '.join(found)} in the environment would train it with {what} than the table's, under the same name: "
        f"unset {' '.join(found)}, and run the same command again."
    )


def _not_given(datasets: Sequence[str]) -> str:
    named = " and ".join(f"`data={dataset}=FOLDER`" for dataset in datasets)
    return f"No files are given: name their folder with {named}."


def stopped_rows(rows: Sequence[PlannedRow], reasons: Mapping[PlannedTraining, str]) -> list[PlannedRow]:
    """Return rows with the reasons why trainings of theirs could not be run.

    A row of several trainings stands on those that could.

    Args:
        rows: all of them.
        reasons: by training, a teacher's too.
    """
    found = []
    for row in rows:
        untaught = {one.data: reasons[one] for one in row.teachers if one in reasons}
        lost = {one: reasons.get(one) or untaught.get(one.data, "") for one in row.trainings}
        kept = tuple(one for one, reason in lost.items() if not reason)
        if row.reason or len(kept) == len(row.trainings):
            found.append(row)
        elif kept:
            found.append(replace(row, trainings=kept))
        else:
            found.append(row.stopped(lost[row.trainings[0]]))
    return found
