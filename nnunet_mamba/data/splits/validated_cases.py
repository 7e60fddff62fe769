"""Whether folds were validated with the cases of their split: a split may change after a training."""

from collections.abc import Collection, Mapping

from nnunet_mamba.data.splits.split_files import find_splits, read_splits
from nnunet_mamba.system.counts import how_many

_SHOWN_NAMES = 3


def folds_of_split(dataset: str) -> list[str]:
    """Return the folds of a data set's split, "0", "1", …; none where the split is not there.

    Args:
        dataset: name of the data set's folder.

    Raises:
        ValueError: splits_final.json is damaged.
    """
    path = find_splits(dataset)
    return [] if path is None else [str(fold) for fold in range(len(read_splits(path)))]


def other_validation(dataset: str, validated: Mapping[str, Collection[str]]) -> str | None:
    """Return in words which folds were validated with other cases than their split has, and the way out.

    nnU-Net does not record with which split a fold was trained. Where the split is not there, or has no such fold,
    nothing is known.

    Args:
        dataset: name of the data set's folder.
        validated: the validation cases of each fold, "0", "1", … or "all".

    Returns:
        What follows the name of a training; None if all is well or nothing is known.

    Raises:
        ValueError: splits_final.json is damaged.
    """
    if (path := find_splits(dataset)) is None:
        return None
    splits = read_splits(path)
    wanted = {str(fold): set(split["val"]) for fold, split in enumerate(splits)}
    differing = {
        fold: (wanted[fold] - set(cases), set(cases) - wanted[fold])
        for fold, cases in validated.items()
        if fold in wanted and set(cases) != wanted[fold]
    }
    if not differing:
        return None
    first, (missing, extra) = next(iter(differing.items()))
    parts = [f"without {how_many(len(missing), 'case')} of it ({_shown(missing)})"] if missing else []
    parts += [f"with {how_many(len(extra), 'other')} ({_shown(extra)})"] if extra else []
    more = f"; {how_many(len(differing) - 1, 'more fold was', 'more folds were')}, too" if len(differing) > 1 else ""
    return (
        f"fold {first} was validated by another split than {path}, {' and '.join(parts)}{more}. If the split has "
        "changed since the training, put back the file that it was trained with, or train again; if it has not, "
        f"validate again with nnUNetv2_train … {first} --val"
    )


def _shown(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
