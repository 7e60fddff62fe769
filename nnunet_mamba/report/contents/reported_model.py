"""A model in a report: its trainings, one for each seed, what its network costs, and how it was trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nnunet_mamba.comparison.metrics import METRICS, Metric
from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import mean
from nnunet_mamba.results.training_logs import Epoch

DICE = METRICS["dice"]


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """What a network has to learn, and what one image costs.

    Args:
        n_parameters: numbers that it learns.
        multiply_adds: by the papers' convention.
        flops: all floating-point operations, 2 per multiply-add.
        latency_ms: median of single images in evaluation, measured here; None where it was not.
        image_shape: of the image, (c, *spatial).
        device: that the latency was measured on.
    """

    n_parameters: int
    multiply_adds: int
    flops: int
    latency_ms: float | None
    image_shape: tuple[int, ...]
    device: str = ""


@dataclass(frozen=True, kw_only=True)
class AveragedModel(ScoredModel):
    """Trainings of one model with several seeds: the score of a case is the mean over them.

    Args:
        repeats: the trainings, on the same cases.
    """

    repeats: Sequence[ScoredModel] = ()

    def score(self, identifier: str, label: str, metric: Metric) -> float:
        """Return the mean score of a label in a case; NaN without one in any training."""
        return mean(each.score(identifier, label, metric) for each in self.repeats)


@dataclass(frozen=True, kw_only=True)
class ReportedModel:
    """A model in a report.

    Args:
        name: unique in the report.
        repeats: its cross-validations: one, or one for each seed.
        seeds: of the repeats; None for a training without one.
        cost: of its network; None where it was not measured.
        epochs: of each training, by its seed and fold.
        paper_distances: of each repeat, by the convention of papers beside which it stands; empty where no paper of
            these measures distances.
    """

    name: str
    repeats: Sequence[ScoredModel]
    seeds: Sequence[int | None] = (None,)
    cost: NetworkCost | None = None
    epochs: Mapping[str, Sequence[Epoch]] = field(default_factory=dict)
    paper_distances: Sequence[MeasuredDistances] = ()

    @property
    def compared(self) -> ScoredModel:
        """What is compared with other models: the training, or the mean over seeds in each case."""
        first = replace(self.repeats[0], name=self.name)
        if len(self.repeats) == 1:
            return first
        return AveragedModel(
            name=first.name,
            place=first.place,
            cases=first.cases,
            distances=first.distances,
            labels=first.labels,
            folds=first.folds,
            repeats=self.repeats,
        )

    @property
    def identifiers(self) -> list[str]:
        """Names of the cases, sorted."""
        return [case.identifier for case in self.repeats[0].cases]

    def case_dice(self) -> dict[str, float]:
        """Return the Dice of each case: the mean over the labels that it has, and over seeds; NaN without any."""
        return {
            identifier: mean(
                mean(each.score(identifier, label, DICE) for label in each.label_names) for each in self.repeats
            )
            for identifier in self.identifiers
        }
