"""Write a comparison as JSON, and the scores that it was made from as a table, both whole or not at all."""

import csv
import json
import math
from pathlib import Path

from nnunet_mamba import __version__
from nnunet_mamba.comparison.comparing import Comparison
from nnunet_mamba.comparison.sentences import notes, sentences
from nnunet_mamba.evaluation.measured_distances import EMPTY_RULE
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import refuse_if_unwritable

COMPARISON, TABLE = "comparison.json", "comparison.csv"
_INTERVAL = "bootstrap of the mean, whole groups resampled, expanded percentile"
_TEST = "Wilcoxon signed-rank, two-sided, on the mean difference of each group"


def refuse_if_no_output(folder: Path) -> None:
    """Raise before anything is scored if a comparison could not be written.

    Args:
        folder: need not exist.

    Raises:
        OSError: nothing can be written there.
    """
    refuse_if_unwritable(folder, way_out="make room, get the right to write there, or choose another `output`")


def comparison_as_dict(comparison: Comparison) -> dict[str, object]:
    """Return all that was found, and how, as plain values for JSON."""
    options, distances = comparison.options, comparison.models[0].distances
    content: dict[str, object] = {
        "nnunet_mamba": __version__,
        "metric": options.metric.name,
        "higher_is_better": options.metric.higher_is_better,
        "models": [{"name": model.name, "place": str(model.place)} for model in comparison.models],
        "folds": sorted(set(comparison.models[0].folds.values()), key=lambda fold: (len(fold), fold)),
        "resampled": comparison.groups.noun,
        "groups": None if comparison.groups.source is None else str(comparison.groups.source),
        "interval": _INTERVAL,
        "confidence": options.resampling.confidence,
        "n_resamples": options.resampling.n_resamples,
        "seed": options.resampling.seed,
        "test": _TEST,
        "n_tests": comparison.n_tests,
        "tie": options.tie,
        "empty_masks": EMPTY_RULE,
    }
    if options.metric.is_distance and distances is not None:
        content["distances"] = distances.as_dict()
    content["comparisons"] = [row.as_dict() for row in comparison.rows]
    content["sentences"] = sentences(comparison)
    content["notes"] = notes(comparison)
    return content


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison.json, and comparison.csv with one line for each case and label and one column for each model.

    Args:
        comparison: of the models.
        folder: created if it is not there.

    Returns:
        Both files.

    Raises:
        OSError: they cannot be written; earlier ones are untouched.
    """
    files = [folder / COMPARISON, folder / TABLE]
    with replacing(files[0]) as new_json, replacing(files[1]) as new_table:
        text = json.dumps(comparison_as_dict(comparison), indent=1, ensure_ascii=False, allow_nan=False)
        new_json.write_text(f"{text}\n", encoding="utf-8")
        _write_table(comparison, new_table)
    return files


def _write_table(comparison: Comparison, path: Path) -> None:
    metric, models = comparison.options.metric, comparison.models
    folds = models[0].folds
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["identifier", "group", "fold", "label", *(f"{metric.name} {model.name}" for model in models)])
        for case in models[0].cases:
            for label in comparison.labels:
                scores = [model.score(case.identifier, label, metric) for model in models]
                writer.writerow(
                    [
                        case.identifier,
                        comparison.groups.by_case.get(case.identifier, ""),
                        folds.get(case.identifier, ""),
                        label,
                        *("" if math.isnan(score) else f"{score:.6f}" for score in scores),
                    ]
                )
