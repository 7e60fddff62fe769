"""Files that an evaluation writes beside each other, and what they must not replace."""

from collections.abc import Sequence
from pathlib import Path

from nnunet_mamba.results.layout import SUMMARY
from nnunet_mamba.system.folder_lock import refuse_if_unwritable

CASES = "cases.csv"
# One of them is in the first part of each, whoever has written it: nnU-Net, or this evaluation.
_SIGNS = {SUMMARY: ('"foreground_mean"', '"metric_per_case"'), CASES: ("identifier,label,",)}
_FIRST_PART = 2**16


def refuse_output(folder: Path, *, has_summary: bool = True) -> None:
    """Raise before anything is scored if its files cannot be written into a folder, or would replace files of others.

    Args:
        folder: need not exist.
        has_summary: whether a summary.json is written, too.

    Raises:
        FileExistsError: a file of the name of one of ours is something else.
        OSError: nothing can be written there.
    """
    refuse_if_unwritable(folder, way_out="make room, get the right to write there, or choose another `output`")
    for name in (SUMMARY, CASES) if has_summary else (CASES,):
        if _is_foreign(folder / name, _SIGNS[name]):
            raise FileExistsError(
                f"{folder / name} is there and was written by no evaluation, so it is not replaced; move it away, or "
                "choose another `output`"
            )


def _is_foreign(file: Path, signs: Sequence[str]) -> bool:
    """Return whether a path is something else than an evaluation's file; an empty one was cut by a full disk."""
    if not file.is_file():
        return file.exists()
    with file.open("rb") as content:
        text = content.read(_FIRST_PART).decode("utf-8", errors="replace")
    return bool(text.strip()) and not any(sign in text for sign in signs)
