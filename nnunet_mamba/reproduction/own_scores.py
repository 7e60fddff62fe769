"""One's own scores of the rows: of the held-out images, and of an external test by all models."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.evaluation.distances.conventions import MEDPY, DistanceMeasure
from nnunet_mamba.external_tests.external_test import ExternalTestOptions, run_external_test
from nnunet_mamba.external_tests.models_under_test import open_models
from nnunet_mamba.published_results.row import HD95
from nnunet_mamba.report.contents.gathering import Gathered, ReportRequest, gather
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.score_figures import ModelFigures, model_figures
from nnunet_mamba.reproduction.conversion import ConvertedData
from nnunet_mamba.reproduction.experiment import FOLD, PreparedData
from nnunet_mamba.reproduction.nnunet_planning import CONFIGURATION
from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.trainings import hours_of, trained_models
from nnunet_mamba.trainer_name import TrainerName

if TYPE_CHECKING:
    from nnunet_mamba.models.model import Model
    from nnunet_mamba.prediction.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class OwnScores:
    """What stands beside a printed row.

    Args:
        figures: of all models; ± is over them.
        n_models: trained networks.
        hours: that their trainings took together.
    """

    figures: ModelFigures
    n_models: int
    hours: float


def gathered_of(
    data: PreparedData,
    trainings: Sequence[PlannedTraining],
    *,
    rows: Iterable[PlannedRow],
    request: ReproductionRequest,
) -> Gathered:
    """Read the held-out scores of trainings.

    Args:
        data: of the trainings.
        trainings: those with a complete repeat.
        rows: of the table; where they print HD95, it is measured.
        request: of the run.

    Raises:
        OSError: a file is missing or cannot be read.
        ValueError: one is damaged.
    """
    has_hd95 = any(value.column.metric == HD95 for row in rows for value in row.row.values)
    names = [str(model.name) for training in trainings for model in trained_models(training, request.repeats)]
    return gather(
        ReportRequest(
            dataset=data.folder_name,
            trainers=names,
            configuration=CONFIGURATION,
            folds=[str(FOLD)],
            paper_distances=DistanceMeasure(convention=MEDPY) if has_hd95 else None,
            progress=request.progress,
        )
    )


def held_out_scores(
    gathered: Gathered, trainings: Sequence[PlannedTraining], repeats: int
) -> dict[PlannedTraining, OwnScores]:
    """Return the scores of the held-out images.

    Args:
        gathered: of the trainings' data.
        trainings: those with a complete repeat.
        repeats: number of seeds.
    """
    models = {_without_seed(model): model for model in gathered.models}
    found = {}
    for training in trainings:
        trained = trained_models(training, repeats)
        found[training] = OwnScores(
            figures=model_figures(models[training.trainer]), n_models=len(trained), hours=hours_of(trained)
        )
    return found


def _without_seed(model: ReportedModel) -> str:
    """Return the trainer of a model: gathering calls a single seed by its whole name."""
    return str(TrainerName.parse(model.name.partition("__")[0]).with_seed(None))


def external_models(
    trainings: Sequence[PlannedTraining],
    *,
    test: ConvertedData,
    request: ReproductionRequest,
    predictor: "Callable[[Model], Predictor]",
) -> dict[PlannedTraining, list[ScoredModel]]:
    """Test the models of trainings on other data, those of one data set after the other.

    Args:
        trainings: those with a complete repeat.
        test: all of whose images are predicted.
        request: of the run.
        predictor: makes a model's predictor.

    Raises:
        ValueError: an image could not be predicted, or models have seen the images.
        OSError: writing failed; a second run continues.
    """
    by_data: dict[PreparedData, list[PlannedTraining]] = {}
    for training in trainings:
        by_data.setdefault(training.data, []).append(training)
    found: dict[PlannedTraining, list[ScoredModel]] = {}
    for data, of_data in by_data.items():
        folder = request.output / "external" / test.data.dataset / data.folder_name
        taken = {training: trained_models(training, request.repeats) for training in of_data}
        models = open_models([], [(model, [str(FOLD)]) for listed in taken.values() for model in listed])
        done = run_external_test(
            [test.folder / "imagesTs"],
            test.folder / "labelsTs",
            models,
            output=folder,
            predictor=predictor,
            options=ExternalTestOptions(dataset_json=test.folder / "dataset.json", progress=request.progress),
        )
        if done.failures:
            name, failed = next(iter(done.failures.items()))
            image, reason = next(iter(failed.items()))
            raise ValueError(f"{test.data.dataset}: {name} could not predict {image}: {reason}")
        for training, listed in taken.items():
            of_training = {f"{model.name}__fold_{FOLD}" for model in listed}
            found[training] = [
                ScoredModel(name=name, place=folder / name, cases=evaluation.cases, distances=evaluation.distances)
                for name, evaluation in done.evaluations.items()
                if name in of_training
            ]
    return found


def external_scores(
    row: PlannedRow, models: Mapping[PlannedTraining, Sequence[ScoredModel]], repeats: int
) -> OwnScores:
    """Return the scores of a row by all of its models, whatever they were trained on.

    Args:
        row: of an external test.
        models: of its trainings.
        repeats: number of seeds.
    """
    tested = [model for training in row.trainings for model in models[training]]
    trained = [model for training in row.trainings for model in trained_models(training, repeats)]
    reported = ReportedModel(name=row.trainer, repeats=tested, seeds=[None] * len(tested))
    return OwnScores(figures=model_figures(reported), n_models=len(tested), hours=hours_of(trained))
