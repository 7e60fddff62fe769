"""Write an external test into external_test.json and external_test.csv."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from nnunet_mamba import __version__
from nnunet_mamba.external_tests.external_test import ExternalTest
from nnunet_mamba.external_tests.models_under_test import ModelUnderTest
from nnunet_mamba.system.atomic import replacing

RESULT, TABLE = "external_test.json", "external_test.csv"
DEVIATION = "sample standard deviation over the models of a training, one for each fold and seed"


def external_test_as_dict(test: ExternalTest) -> dict[str, object]:
    """Return all that was found as plain values for JSON, None for what is 0 / 0.

    Args:
        test: with all evaluations.
    """
    distances = test.first.distances
    return {
        "nnunet_mamba": __version__,
        "references": str(test.references),
        "n_cases": len(test.first.cases),
        "n_models": len(test.models),
        "models": [
            {
                **_facts(one),
                "folder": str(test.folder / one.name),
                "labels": [row.as_dict() for row in test.evaluations[one.name].scores],
            }
            for one in test.models
        ],
        "deviation": DEVIATION,
        "means": [
            {
                "trainer": row.group.trainer,
                "dataset": row.group.dataset,
                "plans": row.group.plans,
                "configuration": row.group.configuration,
                "is_ensemble": row.group.is_ensemble,
                "label": row.label,
                "n_models": len(row.names),
                "models": list(row.names),
                "mean": _plain(row.means),
                "deviation": _plain(row.deviations),
            }
            for row in test.means
        ],
        "distances": None if distances is None else distances.as_dict(),
        "notes": list(test.notes),
    }


def write_external_test(test: ExternalTest) -> list[Path]:
    """Write external_test.json and external_test.csv into the folder of a test.

    Args:
        test: with all evaluations.

    Returns:
        Both files.

    Raises:
        OSError: they cannot be written; earlier ones are untouched.
    """
    files = [test.folder / RESULT, test.folder / TABLE]
    with replacing(files[0]) as new_result, replacing(files[1]) as new_table:
        text = json.dumps(external_test_as_dict(test), indent=1, ensure_ascii=False, allow_nan=False)
        new_result.write_text(f"{text}\n", encoding="utf-8")
        names = [figure.name for figure in test.figures]
        with new_table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, ["row", "trainer", "model", "folds", "seed", "label", "n_models", "n_cases", *names]
            )
            writer.writeheader()
            writer.writerows(_rows(test))
    return files


def _rows(test: ExternalTest) -> Iterator[dict[str, object]]:
    """Yield a line for each model and label, then one for each mean and one for its deviation."""
    n_cases = len(test.first.cases)
    for one in test.models:
        facts = _facts(one)
        for scores in test.evaluations[one.name].scores:
            yield {
                "row": "model",
                "trainer": one.group.trainer,
                "model": one.name,
                "folds": " ".join(one.folds),
                "seed": "" if facts["seed"] is None else facts["seed"],
                "label": scores.label,
                "n_models": 1,
                "n_cases": n_cases,
                **{figure.name: _text(figure.of(scores)) for figure in test.figures},
            }
    for row in test.means:
        for name, values in (("mean", row.means), ("deviation", row.deviations)):
            yield {
                "row": name,
                "trainer": row.group.trainer,
                "model": "ensembles" if row.group.is_ensemble else "",
                "label": row.label,
                "n_models": len(row.names),
                "n_cases": n_cases,
                **{figure: _text(value) for figure, value in values.items()},
            }


def _facts(one: ModelUnderTest) -> dict[str, object]:
    return {
        "name": one.name,
        "trainer": one.description.trainer,
        "dataset": one.group.dataset,
        "plans": one.group.plans,
        "configuration": one.group.configuration,
        "folds": list(one.folds),
        "seed": one.seed,
    }


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
