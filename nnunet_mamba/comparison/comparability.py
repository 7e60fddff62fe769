"""Refuse to compare what cannot be compared: other cases, other folds, other labels, or another way to score."""

from collections.abc import Collection, Sequence
from itertools import pairwise

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.system.counts import how_many

_SHOWN_NAMES = 5


def refuse_incomparable(models: Sequence[ScoredModel]) -> None:
    """Raise unless all models were scored on the same cases, folds, labels and references.

    Args:
        models: at least two, in the order in which they were named.

    Raises:
        ValueError: two of them were not; one sentence says which, how that shows and what to do.
    """
    if len(models) < 2:
        raise ValueError(f"{how_many(len(models), 'model')} to compare, expected two or more; name another one")
    for one, other in pairwise(models):
        _refuse_other_labels(one, other)
        _refuse_other_cases(one, other)
        _refuse_other_folds(one, other)
        _refuse_other_references(one, other)
        _refuse_other_distances(one, other)


def shown(names: Collection[str]) -> str:
    """Return as many names as a sentence can hold, sorted."""
    return ", ".join(sorted(names)[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")


def _refuse_other_labels(one: ScoredModel, other: ScoredModel) -> None:
    are_known = one.labels is not None and other.labels is not None
    has_other_values = are_known and one.labels != other.labels
    if has_other_values or set(one.label_names) != set(other.label_names):
        told = [
            _told_labels(model) if has_other_values else ", ".join(model.label_names) or "none"
            for model in (one, other)
        ]
        raise ValueError(
            f"{one.name} and {other.name} have other labels, {told[0]} and {told[1]}: their scores are of different "
            "things; compare models of the same labels"
        )


def _told_labels(model: ScoredModel) -> str:
    if model.labels is None:
        return ", ".join(model.label_names)
    return ", ".join(f"{name} = {value}" for name, value in model.labels.items())


def _refuse_other_cases(one: ScoredModel, other: ScoredModel) -> None:
    here, there = set(one.confusions), set(other.confusions)
    if here == there:
        return
    parts = [
        f"{len(names)} only in {model.name} ({shown(names)})"
        for model, names in ((one, here - there), (other, there - here))
        if names
    ]
    raise ValueError(
        f"{one.name} and {other.name} were scored on other cases, {' and '.join(parts)}: a paired comparison needs "
        "the same; score both on the same cases"
    )


def _refuse_other_folds(one: ScoredModel, other: ScoredModel) -> None:
    if moved := [name for name, fold in one.folds.items() if other.folds.get(name) != fold]:
        first = min(moved)
        raise ValueError(
            f"{one.name} and {other.name} were trained with another split: {first} is validated by fold "
            f"{one.folds[first]} of one and fold {other.folds.get(first)} of the other, as "
            f"{'is' if len(moved) == 1 else 'are'} {how_many(len(moved), 'case')} in all; train one of them again with "
            "the splits_final.json of the other"
        )


def _refuse_other_references(one: ScoredModel, other: ScoredModel) -> None:
    """Raise unless both were scored against the same references: then each label has as many pixels in both."""
    for identifier, counts in sorted(one.confusions.items()):
        for label, here in counts.items():
            there = other.confusions[identifier][label]
            sizes = [each.tp + each.fp + each.fn + each.tn for each in (here, there)]
            found = [each.tp + each.fn for each in (here, there)]
            for what, values in (("pixels", sizes), (f"pixels of {label} in the reference", found)):
                if values[0] != values[1]:
                    raise ValueError(
                        f"{one.name} and {other.name} were scored by another protocol: {identifier} has {values[0]} "
                        f"{what} for one and {values[1]} for the other; score both at the same size against the same "
                        "references"
                    )


def _refuse_other_distances(one: ScoredModel, other: ScoredModel) -> None:
    if one.distances is None or other.distances is None:
        return
    here, there = ((each.measure, each.unit) for each in (one.distances, other.distances))
    if here != there:
        raise ValueError(
            f"the distances of {one.name} and {other.name} were measured by another protocol: "
            f"{one.distances.convention_text} ({one.distances.unit}), and {other.distances.convention_text} "
            f"({other.distances.unit}); measure both in the same way"
        )
