"""Score one case: read its two files once, check them, let nnU-Net count, and measure distances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nnunet_mamba.data.formats.dataset_json import LabelOrRegion
from nnunet_mamba.evaluation.case_files import CaseFiles
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.distances.label_map_distances import label_map_distances
from nnunet_mamba.evaluation.label_map_checks import LabelMapPair, read_pair
from nnunet_mamba.evaluation.label_map_reading import spacing_of
from nnunet_mamba.evaluation.label_pictures import Array


class ReadsCases(Protocol):
    """What reads the label maps of a data set."""

    def read_seg(self, seg_fname: str) -> tuple[Array, dict[str, Any]]:
        """Return a label map, (1, *spatial), and what the file tells of its place."""

    def take_missed(self) -> dict[str, int]:
        """Return how many values were taken as whole numbers in each file since the last call."""


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What is known of a case.

    Args:
        problems: what keeps it from being scored; then there is nothing else.
        metrics: an entry of "metric_per_case" in nnU-Net's summary.json.
        distances: for each label or region, in the order of the scorer's.
        unit: of distances.
        n_missed: values that were taken as whole numbers, by file.
    """

    problems: Sequence[str] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    distances: Sequence[MaskDistances] = ()
    unit: str = ""
    n_missed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CaseScorer:
    """Scores the cases of one data set; may be sent to other processes.

    Args:
        reader: of its label maps.
        values: that label maps may have.
        scored: labels and regions, as nnU-Net's LabelManager lists them.
        ignored: the value of the label "ignore".
        measure: of distances, None measures none.
    """

    reader: ReadsCases
    values: Sequence[int]
    scored: Sequence[LabelOrRegion]
    ignored: int | None = None
    measure: DistanceMeasure | None = None

    def score(self, files: CaseFiles) -> CaseResult:
        """Score a case, or tell why it cannot be."""
        pair, problems = read_pair(files.prediction, files.reference, self.reader, self.values)
        n_missed = self.reader.take_missed()
        if pair is None:
            return CaseResult(problems=problems, n_missed=n_missed)
        distances: Sequence[MaskDistances] = ()
        unit = ""
        if self.measure is not None:
            spacing = spacing_of(pair.place)
            unit = self.measure.unit(spacing)
            distances = label_map_distances(
                pair.predicted[0],
                pair.reference[0],
                self.scored,
                measure=self.measure,
                spacing=spacing,
                ignored=self.ignored,
            )
        metrics = _counted(files, pair, self.scored, self.ignored)
        return CaseResult(metrics=metrics, distances=distances, unit=unit, n_missed=n_missed)


def _counted(
    files: CaseFiles, pair: LabelMapPair, scored: Sequence[LabelOrRegion], ignored: int | None
) -> dict[str, Any]:
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics
    from nnunetv2.utilities.json_export import recursive_fix_for_json_export

    held = _HeldLabelMaps({files.reference: pair.reference, files.prediction: pair.predicted})
    metrics: dict[str, Any] = compute_metrics(str(files.reference), str(files.prediction), held, list(scored), ignored)
    recursive_fix_for_json_export(metrics)
    return metrics


class _HeldLabelMaps:
    """Gives nnU-Net's evaluation what is read already."""

    def __init__(self, label_maps: Mapping[Path, Array]) -> None:
        self._label_maps = {str(path): label_map for path, label_map in label_maps.items()}

    def read_seg(self, seg_fname: str) -> tuple[Array, dict[str, Any]]:
        return self._label_maps[seg_fname], {}
