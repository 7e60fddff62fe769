"""Run an experiment: convert, plan, train, score, and lay one's own numbers beside the printed ones.

All that is done lies in nnU-Net's three folders and in the output folder, and is recognised there: a second run
continues, and other settings have other names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from nnunet_mamba.crossval.cross_validation import CrossValidation
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.report.contents.gathering import Gathered
from nnunet_mamba.reproduction.conversion import ConvertedData, convert
from nnunet_mamba.reproduction.conversion_problems import told_problems, without_other_settings
from nnunet_mamba.reproduction.experiment import PreparedData
from nnunet_mamba.reproduction.faulty_trainings import for_all_that_can, in_one_line
from nnunet_mamba.reproduction.found_differences import differences_of
from nnunet_mamba.reproduction.network_costs import network_costs
from nnunet_mamba.reproduction.nnunet_planning import is_preprocessed, plan_and_preprocess, way_out
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
from nnunet_mamba.reproduction.training_turns import in_turns, taught_seeds
from nnunet_mamba.reproduction.trainings import cross_validation, reasons_of, trained_models

if TYPE_CHECKING:
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.networks.complexity import Complexity
    from nnunet_mamba.prediction.predictor import Predictor

LOGS = "logs"
_UNTESTED = "Its external test is not over."
_ADVICE = "Choose another place"


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
        file = request.output / LOGS / f"{data.folder_name}_problems.csv"
        return f"{data.dataset} cannot be converted: {told_problems(error, file)}"
    except FileExistsError as error:
        # A conversion's own advice is about a place, which is fixed here.
        found = in_one_line(error).partition(_ADVICE)[0].rstrip()
        advice = way_out(data)
        return f"{data.dataset} cannot be converted: {found}. {advice[0].upper()}{advice[1:]}."
    except (ValueError, NotADirectoryError) as error:
        return f"{data.dataset} cannot be converted: {without_other_settings(str(error))}"
    return ""


def _prepared(data: PreparedData, prepared: Prepared, listener: Listener) -> str:
    """Convert a data set and have nnU-Net plan it; return why it cannot be."""
    if reason := _converted(data, prepared, listener):
        return reason
    try:
        if is_preprocessed(data):
            return ""
        listener.begins(f"nnU-Net plans and preprocesses {data.folder_name}")
        plan_and_preprocess(data, prepared.request.output / LOGS / f"{data.folder_name}_preprocessing.log")
    except ValueError as error:
        return str(error)
    return ""


def train(prepared: Prepared, place: TrainingPlace, listener: Listener) -> bool:
    """Train what can be trained; trainings that cannot begin, or fail, stop their own rows.

    Networks that learn from a teacher come after it, each seed after the teacher's same seed.

    Args:
        prepared: gets the reasons.
        place: where to train.
        listener: is told of it.

    Returns:
        Whether all is over; False where jobs were submitted that nobody follows.

    Raises:
        ValueError: this is no Slurm cluster, or Slurm refuses the jobs.
        ChildProcessError: nnU-Net cannot be asked.
    """
    repeats = prepared.request.repeats
    if place.submit is not None:
        for data, trainings in prepared.trainings.items():
            for turn in in_turns(trainings, prepared.rows):
                runs = _runs(data, turn, prepared, place)
                if runs is not None and (runs.n_open or place.waits):
                    place.submit(runs)
        if not place.waits:
            planned = [training for trainings in prepared.trainings.values() for training in trainings]
            return all(len(trained_models(training, repeats)) == repeats for training in planned)
    for data in list(prepared.trainings):
        listener.begins(f"training on {data.folder_name}")
        for place_of_turn, turn in enumerate(in_turns(prepared.trainings.get(data, []), prepared.rows)):
            # Those whose teachers have failed are stopped by now.
            there = prepared.trainings.get(data, []) if place_of_turn else turn
            turn = [training for training in turn if training in there]
            runs = _runs(data, turn, prepared, place)
            if runs is not None:
                place.run(runs)
            left = [training for training in turn if training in prepared.trainings.get(data, [])]
            prepared.stop(reasons_of(left, [] if runs is None else runs.statuses, repeats))
    return True


def _runs(
    data: PreparedData, trainings: Sequence[PlannedTraining], prepared: Prepared, place: TrainingPlace
) -> CrossValidation | None:
    """Return the runs that can begin, None without any; trainings that cannot for another reason stop their rows."""
    executor = "local" if place.submit is None else "slurm"
    seeds = {one: taught_seeds(one, prepared.rows, prepared.request.repeats) for one in trainings}
    taught = [one for one in trainings if seeds[one]]
    if not taught:
        return None

    def runs_of(some: Sequence[PlannedTraining]) -> CrossValidation:
        return cross_validation(data, some, prepared.request, executor=executor, n_slurm_gpus=place.n_gpus)

    runs, failed = for_all_that_can(taught, runs_of)
    prepared.stop({one: f"It cannot be trained: {text}" for one, text in failed.items()})
    if runs is None:
        return None
    by_name = {one.trainer: seeds[one] for one in taught}
    # A student would learn from the teacher of another seed.
    statuses = [each for each in runs.statuses if each.run.seed in by_name[each.run.trainer_of_all_seeds]]
    return replace(runs, statuses=statuses)


def score(
    prepared: Prepared,
    listener: Listener,
    *,
    predictor: "Callable[[Model], Predictor]",
    on_held_out: Callable[[Reproduction], object] = lambda found: None,
) -> tuple[Reproduction, dict[PreparedData, Gathered]]:
    """Score what was trained.

    Args:
        prepared: and trained.
        listener: is told of it.
        predictor: makes the predictors of external tests.
        on_held_out: is given the rows of the held-out images before an external test begins.

    Returns:
        The rows of the table, and what was gathered of each data set, for its report.

    Raises:
        OSError: a file cannot be read or written.
    """
    repeats = prepared.request.repeats
    gathered: dict[PreparedData, Gathered] = {}
    held_out: dict[PlannedTraining, OwnScores] = {}
    for data, planned in prepared.trainings.items():
        if trainings := [training for training in planned if trained_models(training, repeats)]:
            listener.begins(f"scoring {data.folder_name}")
            found, failed = for_all_that_can(
                trainings,
                partial(gathered_of, data, rows=prepared.rows, request=prepared.request),
                errors=(OSError, ValueError),
            )
            prepared.stop({one: f"It cannot be scored: {text}" for one, text in failed.items()})
            if found is not None:
                gathered[data] = found
                held_out |= held_out_scores(found, [one for one in trainings if one not in failed], repeats)
    costs = network_costs(prepared.rows, prepared.plans, listener.note)
    tests = [row for row in prepared.rows if row.test is not None and not row.reason]
    if tests:
        untested = [row.stopped(_UNTESTED) if row in tests else row for row in prepared.rows]
        on_held_out(_reproduction(prepared, untested, costs, held_out=held_out, external={}))
    external = _external(prepared, listener, predictor)
    return _reproduction(prepared, prepared.rows, costs, held_out=held_out, external=external), gathered


def _reproduction(
    prepared: Prepared,
    planned: Sequence[PlannedRow],
    costs: Sequence["Complexity | None"],
    *,
    held_out: Mapping[PlannedTraining, OwnScores],
    external: Mapping[int, OwnScores],
) -> Reproduction:
    """Lay scores and costs beside the rows; those of external tests are found by the rows' places."""
    rows = []
    for place, (row, cost) in enumerate(zip(planned, costs, strict=True)):
        own = external.get(place) or (held_out.get(row.trainings[0]) if row.trainings and row.test is None else None)
        rows.append(ReproducedRow(planned=row, scores=None if row.reason else own, cost=cost))
    differences = differences_of(prepared.request, list(prepared.converted.values()), prepared.plans, planned)
    missing = _missing_models(rows, prepared.request.repeats)
    return Reproduction(rows=rows, differences=[*differences, *missing])


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
    """Return the scores of the rows of external tests by their places; models that fail stop their own rows."""
    request = prepared.request
    found: dict[int, OwnScores] = {}
    for test in dict.fromkeys(row.test for row in prepared.rows if row.test is not None and not row.reason):
        assert test is not None
        places = [place for place, row in enumerate(prepared.rows) if row.test == test and not row.reason]
        wanted = dict.fromkeys(training for place in places for training in prepared.rows[place].trainings)
        there = [training for training in wanted if trained_models(training, request.repeats)]
        listener.begins(f"testing {len(there)} trainings on {test.dataset}")
        models, failed = for_all_that_can(
            there,
            partial(external_models, test=prepared.converted[test], request=request, predictor=predictor),
            # Masks of another prediction, masks that are missing.
            errors=(ValueError, FileExistsError, FileNotFoundError),
        )
        reasons = dict.fromkeys(wanted, "It has not been trained to its end yet.")
        reasons |= {one: f"Its models could not be tested: {text}" for one, text in failed.items()}
        reasons = {training: text for training, text in reasons.items() if training not in (models or {})}
        for one, text in failed.items():
            listener.note(f"{one.trainer} of {one.data.dataset} could not be tested: {text}")
        for place in places:
            # A teacher that could not be tested has taught all the same.
            teachers = prepared.rows[place].teachers
            (row,) = stopped_rows([replace(prepared.rows[place], teachers=())], reasons)
            prepared.rows[place] = row = replace(row, teachers=teachers)
            if not row.reason:
                found[place] = external_scores(row, models or {}, request.repeats)
    return found
