"""How a conversion is run: options that change no pixel of what it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to run a conversion.

    Args:
        jobs: worker processes; the result does not depend on it.
        progress: show it on standard error.
        dry_run: check everything and write nothing but the report.
        skip_invalid: leave cases with problems out instead of refusing the data set.
        report: CSV file that gets every problem; None for none.
        split: which cases train, validate and test, one of ``case_splits.SPLIT_NAMES``.
        sources: folders that the user named; neither they nor the folders of
            the files that were found may hold the target.
        wording: how problems name settings in the report, the record and the error: a command names its options.
    """

    jobs: int = 1
    progress: bool = False
    dry_run: bool = False
    skip_invalid: bool = False
    report: Path | None = None
    split: str = "five-fold"
    sources: tuple[Path, ...] = ()
    wording: Callable[[str], str] = str
