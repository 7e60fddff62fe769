"""A part of the training cases is held out, and fold 0 validates with it: the papers' sizes, or their ratio.

The papers' own splits (``published_splits``) put the test cases aside, where nnU-Net's training never looks. Here they
are what fold 0 is validated with, by the weights of its last epoch, so that one training gives the test's scores, too.
The draw is the same. Where there are other cases than the papers had, it keeps the ratio of their sizes.
"""

import re

from nnunet_mamba.data.splits.published_splits import PUBLISHED_CASES, PUBLISHED_SIZES, PublishedCases, PublishedSizes
from nnunet_mamba.data.splits.split import NNUNET_SEED, Fold, Groups, Split, leak_between, train_test_split

_PREFIX = "held-out:"
_RATIO = re.compile(r"([1-9]\d{0,5})-([1-9]\d{0,5})")


def held_out_name(of: str) -> str:
    """Return the name of a split whose test cases are held out for fold 0.

    Args:
        of: a published split, of ``PUBLISHED_SIZES`` or ``PUBLISHED_CASES``; or training and test cases, "70-30".

    Raises:
        ValueError: it is neither.
    """
    if of not in PUBLISHED_SIZES and of not in PUBLISHED_CASES and not _RATIO.fullmatch(of):
        raise ValueError(f"{of!r} is no published split and no ratio of training to test cases, expected such as 70-30")
    return _PREFIX + of


def is_held_out(name: str) -> bool:
    """Return whether ``held_out_name`` gives such a name."""
    return name.startswith(_PREFIX)


def held_out_split(name: str, groups: Groups) -> Split:
    """Draw the training cases and those that are held out; validation cases of a published split are in no fold.

    Args:
        name: what ``held_out_name`` returned.
        groups: of all cases; it warns of those on both sides, as the papers have them.

    Raises:
        ValueError: there are too few cases.
    """
    of = name.removeprefix(_PREFIX)
    published = PUBLISHED_CASES.get(of)
    if published is not None and groups.keys() <= published.all:
        return _named_cases(name, published, groups)
    sizes = _sizes(of)
    exact = sizes.n_cases == len(groups)
    n_test = sizes.n_test if exact else _share(sizes.n_test, sizes, len(groups))
    n_validation = sizes.n_validation if exact else _share(sizes.n_validation, sizes, len(groups))
    if len(groups) - n_test - n_validation < 1:
        raise ValueError(f"`split={name!r}` holds cases out, and here are {len(groups)}; give more cases")
    train, others = train_test_split(sorted(groups), n_validation + n_test, sizes.seed)
    test = train_test_split(others, n_test, sizes.seed)[1] if n_validation else others
    counts = f"{len(train)} training and {len(test)} held-out cases"
    left_out = f", {n_validation} in no fold" if n_validation else ""
    return Split(
        name=name,
        folds=(Fold.of(train, test),),
        source=f"{counts}{left_out}, drawn with seed {sizes.seed}",
        warning=leak_between((train, test), groups),
    )


def _named_cases(name: str, published: PublishedCases, groups: Groups) -> Split:
    """Return the published cases that are there: a case that lacks moves no other to the other side."""
    training, test = published.training & groups.keys(), published.test & groups.keys()
    if not (training and test):
        side = "training" if test else "test"
        raise ValueError(f"`split={name!r}` names its {side} cases, and none of them is here; give more cases")
    lacking = sorted(published.all - groups.keys())
    without = f" without {', '.join(lacking)}" if lacking else ""
    source = f"{published.source}{without}; fold 0 validates with the test cases"
    return Split(name=name, folds=(Fold.of(training, test),), source=source)


def _sizes(of: str) -> PublishedSizes:
    if of in PUBLISHED_SIZES:
        return PUBLISHED_SIZES[of]
    if of in PUBLISHED_CASES:
        n_training, n_test = len(PUBLISHED_CASES[of].training), len(PUBLISHED_CASES[of].test)
    elif found := _RATIO.fullmatch(of):
        n_training, n_test = int(found[1]), int(found[2])
    else:
        raise ValueError(f"`split={_PREFIX + of!r}` is no published split and no ratio, expected such as 70-30")
    return PublishedSizes(
        n_training=n_training, n_validation=0, n_test=n_test, cases="all", source="a ratio", seed=NNUNET_SEED
    )


def _share(n_published: int, sizes: PublishedSizes, n_cases: int) -> int:
    """Return as large a part of the cases as it is of the published ones, at least one."""
    return max(1, round(n_published * n_cases / sizes.n_cases)) if n_published else 0
