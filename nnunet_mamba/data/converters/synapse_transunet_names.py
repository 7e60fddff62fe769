"""Names of TransUNet's files: which case they are of, which slice, and which slices are missing."""

import re
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

_FILE = re.compile(r"(?P<case>case\d+)(?:_slice(?P<slice>\d+)\.npz|\.npy\.h5)")


def transunet_case(path: Path) -> str | None:
    """Return the case in a file's name, None if it has none.

    Args:
        path: such as ``case0005_slice000.npz`` or ``case0001.npy.h5``.
    """
    match = _FILE.fullmatch(path.name)
    return match["case"] if match else None


def slice_number(path: Path) -> int:
    """Return the number in the name of a slice, -1 for a volume.

    Args:
        path: a file with a case in its name.
    """
    match = _FILE.fullmatch(path.name)
    return int(match["slice"]) if match and match["slice"] else -1


def stack_problems(paths: Sequence[Path]) -> Iterator[str]:
    """Yield what is wrong with the files of a case.

    Args:
        paths: all of them, in any order.
    """
    slices = [slice_number(path) for path in paths]
    if slices == [-1]:
        return
    if -1 in slices:
        yield "slices in train_npz and a volume in test_vol_h5, expected one of them; remove the other"
        return
    n_missing = max(slices) + 1 - len(set(slices))
    if n_missing:
        # The number in a name may be huge.
        there = set(slices)
        missing = islice((number for number in count() if number not in there), min(n_missing, 10))
        listed = ", ".join(f"{number:03d}" for number in missing) + (" ..." if n_missing > 10 else "")
        yield f"{n_missing} of {max(slices) + 1} slices missing ({listed}), expected all from 000; add them"
    if len(slices) > len(set(slices)):
        yield f"{len(slices)} files for {len(set(slices))} slices, expected one each; remove the others"
