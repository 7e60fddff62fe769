"""Say in plain sentences what a comparison shows, and what it does not."""

import math
from collections.abc import Iterator

from nnunet_mamba.comparison.comparing import POINTS, ComparedLabel, Comparison
from nnunet_mamba.evaluation.distances.conventions import PIXEL
from nnunet_mamba.evaluation.paper_protocols import MEAN_OF_LABELS
from nnunet_mamba.system.counts import how_many

# Of groups; below, one more patient may change what is said.
FEW = 50


def sentences(comparison: Comparison) -> list[str]:
    """Return a sentence for each pair of models: who is better and by how much, or that this is not shown."""
    return [_sentence(row, comparison) for row in comparison.main_rows]


def _sentence(row: ComparedLabel, comparison: Comparison) -> str:
    values, metric = row.values, row.metric
    title = metric.title if row.label != MEAN_OF_LABELS else f"mean {metric.title} of {len(comparison.labels)} labels"
    if len(comparison.labels) == 1 and len(comparison.models[0].label_names) > 1:
        title = f"{metric.title} of {row.label}"
    if not values.n_cases:
        return f"Nothing is known of {row.first} and {row.second}: no case has a {title} in both."
    if math.isnan(values.low):
        return (
            f"No difference shown between {row.first} and {row.second} in {title}: one {comparison.groups.singular} "
            "tells nothing of others."
        )
    sign = 1 if values.difference >= 0 else -1
    higher, lower = (row.first, row.second) if values.difference >= 0 else (row.second, row.first)
    bounds = sorted((sign * values.low, sign * values.high))
    difference, low, high = (amount(value, comparison) for value in (abs(values.difference), *bounds))
    evidence = (
        f"({row.confidence:.0%} interval {low} to {high}; {_number_of(comparison, values.n_groups)}; "
        f"{_p(row.p_holm)}{' after Holm' if comparison.n_tests > 1 else ''})"
    ).replace("%", " %", 1)
    unit = _unit(comparison)
    if row.is_shown:
        better, worse = (row.first, row.second) if row.is_first_ahead else (row.second, row.first)
        return f"{better} is better than {worse} by {difference} {unit} of {title} {evidence}."
    if not values.difference:
        return f"No difference shown: {row.first} and {row.second} have the same {title} on average {evidence}."
    return f"No difference shown: {higher} has {difference} {unit} more of {title} than {lower} {evidence}."


def notes(comparison: Comparison) -> list[str]:
    """Return what has to be known of the figures: how few they are, what they do not tell, and what has no score."""
    return list(dict.fromkeys(_notes(comparison)))


def _notes(comparison: Comparison) -> Iterator[str]:
    noun, n_family = comparison.groups.noun, comparison.n_tests
    if not comparison.groups.by_case:
        yield (
            "No patients are known of these cases, so each counts for itself: where several show one patient, the "
            "intervals are too narrow; name a table of patients with `groups`."
        )
    folds = comparison.models[0].folds
    if n_across := comparison.groups.n_across(folds):
        yield (
            f"{n_across} of the {noun} {'has' if n_across == 1 else 'have'} cases in several folds, so models have "
            "seen them in training: all scores are better than on new ones."
        )
    if n_folds := len(set(folds.values())):
        trained = "one fold" if n_folds == 1 else f"{n_folds} folds, which share training data"
        yield (
            f"Each case is predicted by the model that has not seen it, of {trained}: intervals and p-values tell of "
            "these trained models on such cases, not of what the recipes would give when trained again."
        )
    for row in comparison.main_rows:
        if 1 < row.values.n_groups < FEW:
            yield _few(row, comparison)
        if (smallest := row.values.smallest_p * n_family) > 1 - row.confidence:
            yield (
                f"{row.first} and {row.second}: {_number_of(comparison, row.values.n_groups)} cannot show a difference "
                f"here; the smallest p that they can give after Holm is {min(1.0, smallest):.2g}."
            )
    for row in comparison.rows:
        if row.label != MEAN_OF_LABELS and (row.n_empty_first or row.n_empty_second):
            yield (
                f"{row.label}: cases where nothing is in the reference and nothing is predicted have no score, and no "
                f"pair; {row.first} has {row.n_empty_first} of them and {row.second} {row.n_empty_second}."
            )
    if len(comparison.labels) > 1 and any(row.n_empty_first or row.n_empty_second for row in comparison.rows):
        yield (
            f"{MEAN_OF_LABELS}: here of the labels that have a score in a case, then over cases; tables of scores take "
            "the mean of each label over cases first. As some cases have no score for some labels, the two differ."
        )


def _few(row: ComparedLabel, comparison: Comparison) -> str:
    least = f"{amount(row.values.detectable, comparison)} {_unit(comparison)}"
    return (
        f"{row.first} and {row.second}: {_number_of(comparison, row.values.n_groups)} are few, below {FEW}. Even "
        f"without Holm, a true difference of less than {least} of {row.metric.title} would be shown in fewer than four "
        "such tests out of five."
    )


def amount(value: float, comparison: Comparison) -> str:
    """Return a difference in the unit of the comparison: one digit after the point, or as many as tell it from 0."""
    scaled = value * 100 if comparison.unit == POINTS else value
    text = f"{scaled:.1f}"
    if float(text) or not scaled:
        return text.replace("-0.0", "0.0")
    return f"{scaled:.1g}"


def _unit(comparison: Comparison) -> str:
    return "pixels" if comparison.unit == PIXEL else comparison.unit


def _number_of(comparison: Comparison, count: int) -> str:
    return how_many(count, comparison.groups.singular, comparison.groups.noun)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
