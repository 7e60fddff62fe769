"""Run an experiment: convert, plan, train, score, and lay one's own numbers beside the printed ones.

All that is done lies in nnU-Net's three folders and in the output folder, and is recognised there: a second run
continues, and other settings have other names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from nnunet_mamba.crossval.cross_validation import CrossValidation
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.report.contents.gathering import Gathered
from nnunet_mamba.reproduction.conversion import ConvertedData, convert
from nnunet_mamba.reproduction.experiment import PreparedData
from nnunet_mamba.reproduction.found_differences import differences_of
from nnunet_mamba.reproduction.network_costs import network_costs
from nnunet_mamba.reproduction.nnunet_planning import is_preprocessed, plan_and_preprocess
from nnunet_mamba.reproduction.own_plans import OwnPlans, make_own_plans
from nnunet_mamba.reproduction.own_scores import (
    OwnScores,
    external_models,
    external_scores,
    gathered_of,
    held_out_scores,
)
from nnunet_mamba.reproduction.planned_rows import (
    PlannedRow,
    PlannedTraining,
    planned_rows,
    stopped_rows,
    trainings_by_data,
)
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.result_table import ReproducedRow, Reproduction
from nnunet_mamba.reproduction.trainings import cross_validation, reasons_of, trained_models

if TYPE_CHECKING:
    from nnunet_mamba.crossval.status import Status
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.predictor import Predictor

LOGS = "logs"
_ADVICE = "Choose another place"
# Of the problems of a data set.
_SHOWN_LINES = 4


@dataclass(frozen=True, kw_only=True)
class TrainingPlace:
    """Where trainings run.

    Args:
        run: runs what is open of a cross-validation, and keeps its statuses up to date.
        submit: only submits it, for a cluster whose jobs run side by side; None where nothing is submitted.
        waits: whether submitted trainings are followed to their end.
        n_gpus: that each job asks for.
    """

    run: Callable[[CrossValidation], None]
    submit: Callable[[CrossValidation], None] | None = None
    waits: bool = True
    n_gpus: int = 0


class Listener(Protocol):
    """Is told what happens, to show it."""

    def begins(self, text: str) -> None:
        """Show what is done next."""

    def note(self, text: str) -> None:
        """Show a sentence that the user must know."""


@dataclass(kw_only=True)
class Prepared:
    """An experiment that is ready to be trained.

    Args:
        request: of the run.
        rows: of the table, with the reasons why some cannot be run.
        converted: data sets by what was declared.
        plans: of the trainings.
    """

    request: ReproductionRequest
    rows: list[PlannedRow]
    converted: dict[PreparedData, ConvertedData] = field(default_factory=dict)
    plans: dict[PlannedTraining, OwnPlans] = field(default_factory=dict)

    @property
    def trainings(self) -> dict[PreparedData, list[PlannedTraining]]:
        """Those that can be run, by their data."""
        return trainings_by_data(self.rows)

    def stop(self, reasons: Mapping[PlannedTraining, str]) -> None:
        """Note why trainings cannot be run, or have failed."""
        self.rows = stopped_rows(self.rows, reasons)


def prepare(request: ReproductionRequest, listener: Listener) -> Prepared:
    """Convert and plan all that the rows need; what is done already is recognised.

    A data set that cannot be prepared stops the rows that need it, and no other.

    Args:
        request: of the run.
        listener: is told of it.

    Raises:
        ValueError: a method is none of the table's, or nnU-Net's variables name no folders.
        OSError: something cannot be written.
    """
    prepared = Prepared(request=request, rows=planned_rows(request))
    for data, trainings in prepared.trainings.items():
        if reason := _prepared(data, prepared, listener):
            prepared.stop(dict.fromkeys(trainings, reason))
            continue
        listener.begins(f"planning batches for {data.folder_name}")
        plans, failed = make_own_plans(trainings, request, lambda text: listener.begins(f"measuring {text}"))
        prepared.plans |= plans
        prepared.stop(failed)
    for test in {row.test for row in prepared.rows if row.test is not None and not row.reason}:
        if reason := _converted(test, prepared, listener):
            prepared.rows = [row.stopped(reason) if row.test == test else row for row in prepared.rows]
    return prepared


def _converted(data: PreparedData, prepared: Prepared, listener: Listener) -> str:
    """Convert a data set; return why it cannot be."""
    listener.begins(f"converting {data.dataset} to {data.folder_name}")
    request = prepared.request
    try:
        prepared.converted[data] = convert(data, request.places[data.dataset], request)
    except InvalidDatasetError as error:
        return f"{data.dataset} cannot be converted: {_in_one_line(error, _SHOWN_LINES)}"
    except FileExistsError as error:
        # A conversion's own advice is about a place, which is fixed here.
        found = _in_one_line(error).partition(_ADVICE)[0].rstrip()
        return (
            f"{data.dataset} cannot be converted: {found}. Set nnU-Net's three folders to others, or remove "
            f"{data.folder_name} and what was trained on it."
        )
    except (ValueError, NotADirectoryError) as error:
        return f"{data.dataset} cannot be converted: {_in_one_line(error)}"
    return ""


def _in_one_line(error: Exception, n_lines: int | None = None) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:n_lines])


def _prepared(data: PreparedData, prepared: Prepared, listener: Listener) -> str:
    """Convert a data set and have nnU-Net plan it; return why it cannot be."""
    if reason := _converted(data, prepared, listener):
        return reason
    if is_preprocessed(data):
        return ""
    listener.begins(f"nnU-Net plans and preprocesses {data.folder_name}")
    try:
        plan_and_preprocess(data, prepared.request.output / LOGS / f"{data.folder_name}_preprocessing.log")
    except ValueError as error:
        return str(error)
    return ""


def train(prepared: Prepared, place: TrainingPlace, listener: Listener) -> None:
    """Train what can be trained; trainings that cannot begin, or fail, stop their own rows.

    Args:
        prepared: gets the reasons.
        place: where to train.
        listener: is told of it.

    Raises:
        ValueError: this is no Slurm cluster, or Slurm refuses the jobs.
        ChildProcessError: nnU-Net cannot be asked.
    """

    def runs_of(data: PreparedData, trainings: Sequence[PlannedTraining]) -> CrossValidation:
        executor = "local" if place.submit is None else "slurm"
        return cross_validation(data, trainings, prepared.request, executor=executor, n_slurm_gpus=place.n_gpus)

    if place.submit is not None:
        for data, trainings in prepared.trainings.items():
            place.submit(runs_of(data, _in_turns(trainings, prepared)[0]))
        if not place.waits:
            return
    for data, trainings in prepared.trainings.items():
        listener.begins(f"training on {data.folder_name}")
        statuses: list[Status] = []
        # Jobs do not wait for each other; trainings on this machine do.
        for turn in [trainings] if place.submit is None else _in_turns(trainings, prepared):
            try:
                runs = runs_of(data, turn)
            except ValueError as error:
                prepared.stop(dict.fromkeys(turn, f"It cannot be trained: {_in_one_line(error)}"))
                continue
            place.run(runs)
            statuses += runs.statuses
        prepared.stop(reasons_of(trainings, statuses, prepared.request.repeats))


def _in_turns(trainings: Sequence[PlannedTraining], prepared: Prepared) -> list[list[PlannedTraining]]:
    """Return the trainings that need no other one, and then those that learn from a teacher, where there are any."""
    students = {training for row in prepared.rows if row.teachers for training in row.trainings}
    turns = [[one for one in trainings if (one in students) is later] for later in (False, True)]
    return [turn for turn in turns if turn]


def score(
    prepared: Prepared, listener: Listener, *, predictor: "Callable[[Model], Predictor]"
) -> tuple[Reproduction, dict[PreparedData, Gathered]]:
    """Score what was trained.

    Args:
        prepared: and trained.
        listener: is told of it.
        predictor: makes the predictors of external tests.

    Returns:
        The rows of the table, and what was gathered of each data set, for its report.

    Raises:
        OSError: a file cannot be read or written.
    """
    request, repeats = prepared.request, prepared.request.repeats
    gathered: dict[PreparedData, Gathered] = {}
    held_out: dict[PlannedTraining, OwnScores] = {}
    for data, planned in prepared.trainings.items():
        if trainings := [training for training in planned if trained_models(training, repeats)]:
            listener.begins(f"scoring {data.folder_name}")
            try:
                gathered[data] = gathered_of(data, trainings, prepared.rows, request)
            except ValueError as error:
                prepared.stop(dict.fromkeys(trainings, f"It cannot be scored: {_in_one_line(error)}"))
                continue
            held_out |= held_out_scores(gathered[data], trainings, repeats)
    scores = _external(prepared, listener, predictor)
    costs = network_costs(prepared.rows, prepared.plans, listener.note)
    rows = []
    for place, (row, cost) in enumerate(zip(prepared.rows, costs, strict=True)):
        own = scores.get(place) or (held_out.get(row.trainings[0]) if row.trainings and row.test is None else None)
        rows.append(ReproducedRow(planned=row, scores=None if row.reason else own, cost=cost))
    differences = differences_of(request, list(prepared.converted.values()), prepared.plans, prepared.rows)
    return Reproduction(rows=rows, differences=[*differences, *_missing_models(rows, repeats)]), gathered


def _missing_models(rows: Sequence[ReproducedRow], repeats: int) -> Iterator[str]:
    """Yield which rows stand on fewer models than were to be trained."""
    for row in rows:
        wanted = repeats * len(row.planned.trainings)
        if row.scores is not None and row.scores.n_models < wanted:
            name = f"{row.row.setting.dataset}, {row.row.method}"
            yield f"{name}: {row.scores.n_models} of {wanted} models are trained; the others failed or were stopped."


def _external(
    prepared: Prepared, listener: Listener, predictor: "Callable[[Model], Predictor]"
) -> dict[int, OwnScores]:
    """Return the scores of the rows of external tests by their places; a test that fails stops its rows."""
    request = prepared.request
    found: dict[int, OwnScores] = {}
    for test in dict.fromkeys(row.test for row in prepared.rows if row.test is not None and not row.reason):
        assert test is not None
        places = [place for place, row in enumerate(prepared.rows) if row.test == test and not row.reason]
        wanted = dict.fromkeys(training for place in places for training in prepared.rows[place].trainings)
        there = [training for training in wanted if trained_models(training, request.repeats)]
        listener.begins(f"testing {len(there)} trainings on {test.dataset}")
        try:
            models = external_models(there, prepared.converted[test], request, predictor=predictor)
        except ValueError as error:
            listener.note(str(error))
            for place in places:
                prepared.rows[place] = prepared.rows[place].stopped(f"Its models could not be tested: {error}")
            continue
        for place in places:
            row = prepared.rows[place]
            row = replace(row, trainings=tuple(one for one in row.trainings if one in models))
            prepared.rows[place] = row
            found[place] = external_scores(row, models, request.repeats)
    return found
