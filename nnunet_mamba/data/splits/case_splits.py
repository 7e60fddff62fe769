"""Which cases train, validate and test: nnU-Net's splits_final.json, with a patient on one side only.

A split is drawn from the sorted identifiers with a fixed seed, so that it is the same whatever the order of the input.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.splits.held_out import held_out_split, is_held_out
from nnunet_mamba.data.splits.published_splits import PUBLISHED_CASES, PUBLISHED_SIZES
from nnunet_mamba.data.splits.split import (
    BY_PATIENT,
    NNUNET_SEED,
    Fold,
    Groups,
    Split,
    leak_between,
    train_test_split,
)

N_FOLDS = 5
CHALLENGE = "challenge"
SPLIT_NAMES = ("five-fold", "leave-one-out", CHALLENGE, *PUBLISHED_SIZES, BY_PATIENT, *PUBLISHED_CASES)
SHOWN_CASES = 5


def split_cases(name: str, cases: Sequence[Case]) -> tuple[list[Case], Split]:
    """Split a data set before it is written: test cases of the split become test cases.

    Args:
        name: one of SPLIT_NAMES, or what ``held_out_name`` returns.
        cases: all cases; those that are test cases already stay so.

    Returns:
        The cases in their order, and the split, which warns of given test cases whose group trains.

    Raises:
        ValueError: unknown name, or cases that the split is not for.
    """
    groups = {case.identifier: case.group for case in cases if case.is_training}
    if name == "five-fold":
        split = five_fold(groups)
    elif name == "leave-one-out":
        split = leave_one_out(groups)
    elif name == CHALLENGE:
        split = challenge(groups, {case.identifier for case in cases if case.is_validation})
    elif name in SPLIT_NAMES or is_held_out(name):
        if n_test := len(cases) - len(groups):
            raise ValueError(
                f"`split={name!r}` chooses the test cases itself, and there are {n_test} test cases already; "
                "give training cases only, or take `split='five-fold'`"
            )
        split = _papers_split(name, groups)
    else:
        raise ValueError(f"`split={name!r}`: expected one of {', '.join(SPLIT_NAMES)}")
    if warning := _leak_into_given_test_cases(cases):
        split = replace(split, warning="; ".join(filter(None, (split.warning, warning))))
    test = set(split.test)
    return [replace(case, is_training=False) if case.identifier in test else case for case in cases], split


def _leak_into_given_test_cases(cases: Sequence[Case]) -> str | None:
    trained = {case.group for case in cases if case.is_training and case.group is not None}
    known = [case for case in cases if not case.is_training and case.group in trained]
    if not known:
        return None
    n_test = sum(not case.is_training for case in cases)
    return (
        f"{len(known)} of {n_test} test cases show a patient or lesion that has training cases too, so scores on them "
        f"are better than on new patients: {_first([case.identifier for case in known])}; leave out one side to "
        "measure the latter"
    )


def _papers_split(name: str, groups: Groups) -> Split:
    if is_held_out(name):
        return held_out_split(name, groups)
    if name == BY_PATIENT:
        return lgg_by_patient(groups)
    return named_split(name, groups) if name in PUBLISHED_CASES else published_split(name, groups)


def five_fold(groups: Groups, *, seed: int = NNUNET_SEED) -> Split:
    """Split into five folds of nearly equal size, a group on one side only; with fewer groups, leave one out.

    Groups of equal size are dealt as nnU-Net deals cases, so cases without groups get nnU-Net's own folds. Other groups
    are dealt in rounds of five, the largest of a round to the smallest fold. Folds then hold equally many groups, give
    or take one, and nearly equally many cases.

    Args:
        groups: of the training cases.
        seed: of the draw.
    """
    members = _members(groups)
    if len(members) < N_FOLDS:
        return leave_one_out(groups)
    order = np.arange(len(members))
    np.random.RandomState(seed).shuffle(order)
    if len({len(group) for group in members}) == 1:
        dealt = [[members[index] for index in part] for part in np.array_split(order, N_FOLDS)]
    else:
        dealt = [[] for _ in range(N_FOLDS)]
        for start in range(0, len(order), N_FOLDS):
            largest_first = sorted((members[index] for index in order[start : start + N_FOLDS]), key=len, reverse=True)
            for fold, group in zip(sorted(dealt, key=_n_cases), largest_first, strict=False):
                fold.append(group)
    held_out = [[identifier for group in fold for identifier in group] for fold in dealt]
    return Split(
        name="five-fold",
        folds=_cross_validation(held_out),
        source=f"drawn with seed {seed}" + (", by group" if _is_grouped(members) else ", as nnU-Net's own"),
    )


def leave_one_out(groups: Groups) -> Split:
    """Hold out every group once; nnU-Net's own five folds need five cases.

    Args:
        groups: of the training cases.

    Returns:
        One fold for each group; none, and a warning, if there are not two groups.
    """
    members = _members(groups)
    if len(members) < 2:
        return Split(
            name="leave-one-out",
            folds=(),
            source="nothing to hold out",
            warning="all training cases are of one group, none can be held out: train with fold 'all'",
        )
    return Split(name="leave-one-out", folds=_cross_validation(members), source="every group is held out once")


def challenge(groups: Groups, validation: Collection[str]) -> Split:
    """Hold out the validation part that the data set was published with.

    Args:
        groups: of the training cases, validation part included.
        validation: identifiers of that part.

    Returns:
        One fold. It warns of groups on both sides.

    Raises:
        ValueError: there is no validation part, or nothing else to train with.
    """
    fold = Fold.of(groups.keys() - validation, validation)
    if not fold.val or not fold.train:
        missing = "validation part with masks" if not fold.val else "training part"
        raise ValueError(
            f"`split={CHALLENGE!r}` trains with the training part and validates with the validation part, and there is "
            f"no {missing}; give both, or take `split='five-fold'`"
        )
    return Split(
        name=CHALLENGE,
        folds=(fold,),
        source="the published validation part validates",
        warning=leak_between((fold.train, fold.val), groups),
    )


def published_split(name: str, groups: Groups) -> Split:
    """Draw a split of the sizes that papers print, by case as they did, without regard to groups.

    Drawn as two calls of scikit-learn's ``train_test_split`` with the same seed: training cases, then test cases of
    the others.

    Args:
        name: one of PUBLISHED_SIZES.
        groups: of all cases.

    Returns:
        One fold and the test cases; five folds of the training cases where the papers have no validation cases. It
        warns of groups on both sides.

    Raises:
        ValueError: another number of cases than the papers had.
    """
    sizes = PUBLISHED_SIZES[name]
    if len(groups) != sizes.n_cases:
        raise ValueError(
            f"`split={name!r}` is for {sizes.n_cases} cases, {sizes.cases}, and here are {len(groups)}; give these "
            "cases, or take `split='five-fold'`"
        )
    train, others = train_test_split(sorted(groups), sizes.n_validation + sizes.n_test, sizes.seed)
    if sizes.n_validation:
        validation, test = train_test_split(others, sizes.n_test, sizes.seed)
        folds: tuple[Fold, ...] = (Fold.of(train, validation),)
    else:
        validation, test = [], others
        folds = five_fold({identifier: groups[identifier] for identifier in train}).folds
    return Split(
        name=name,
        folds=folds,
        test=tuple(sorted(test)),
        source=f"{sizes.source}, seed {sizes.seed}",
        warning=leak_between((train, validation, test), groups),
    )


def named_split(name: str, groups: Groups) -> Split:
    """Return a split whose cases the papers name.

    Args:
        name: one of PUBLISHED_CASES.
        groups: of all cases.

    Returns:
        The test cases, and five folds of the training cases.

    Raises:
        ValueError: other cases than the papers had.
    """
    published = PUBLISHED_CASES[name]
    differences = [
        f"{len(names)} {text} ({_first(sorted(names))})"
        for names, text in ((published.all - groups.keys(), "missing"), (groups.keys() - published.all, "too many"))
        if names
    ]
    if differences:
        raise ValueError(
            f"`split={name!r}` is for {len(published.all)} cases, {published.cases}, and here are {len(groups)}: "
            f"{', '.join(differences)}; give these cases, or take `split='five-fold'`"
        )
    return Split(
        name=name,
        folds=five_fold({identifier: groups[identifier] for identifier in published.training}).folds,
        test=tuple(sorted(published.test)),
        source=published.source,
    )


def lgg_by_patient(groups: Groups) -> Split:
    """Draw a split in the proportions of the tumour papers (3143 : 393 : 393) with a patient in one part only.

    Args:
        groups: patients of all cases, slices or volumes; every part misses its proportion by less than one patient.

    Raises:
        ValueError: fewer than three patients, or so unequal ones that a part stays empty.
    """
    sizes = PUBLISHED_SIZES["lgg-by-slice"]
    members = _members(groups)
    order = np.arange(len(members))
    np.random.RandomState(sizes.seed).shuffle(order)
    published = (sizes.n_training, sizes.n_validation, sizes.n_test)
    missing = [len(groups) * size / sizes.n_cases for size in published]
    parts: tuple[list[str], ...] = ([], [], [])
    for index in order:
        part = missing.index(max(missing))
        parts[part].extend(members[index])
        missing[part] -= len(members[index])
    train, validation, test = parts
    if not all(parts):
        raise ValueError(
            f"`split={BY_PATIENT!r}`: {len(members)} patients with {len(groups)} cases make {len(train)} training, "
            f"{len(validation)} validation and {len(test)} test cases, expected all three; take `split='five-fold'`"
        )
    return Split(
        name=BY_PATIENT,
        folds=(Fold.of(train, validation),),
        test=tuple(sorted(test)),
        source=f"proportions of lgg-by-slice, drawn by patient with seed {sizes.seed}",
    )


def _first(names: Sequence[str]) -> str:
    """Return as many of the names as an error or a warning can show."""
    return ", ".join([*names[:SHOWN_CASES], *(["..."] if len(names) > SHOWN_CASES else [])])


def _members(groups: Groups) -> list[list[str]]:
    """Return the sorted identifiers of every group, in the order of the groups' first ones."""
    found: defaultdict[tuple[bool, str], list[str]] = defaultdict(list)
    for identifier in sorted(groups):
        group = groups[identifier]
        found[group is not None, identifier if group is None else group].append(identifier)
    return list(found.values())


def _is_grouped(members: Sequence[Sequence[str]]) -> bool:
    return any(len(group) > 1 for group in members)


def _n_cases(fold: Sequence[Sequence[str]]) -> int:
    return sum(map(len, fold))


def _cross_validation(held_out: Sequence[Sequence[str]]) -> tuple[Fold, ...]:
    everything = {identifier for part in held_out for identifier in part}
    return tuple(Fold.of(everything.difference(part), part) for part in held_out)
