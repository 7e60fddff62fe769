"""``nnunet-mamba restore``: predicted label maps on the grid and with the values from before conversion."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.option_types import Jobs, ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset
    from nnunet_mamba.data.restoring.restoration import Restoration
    from nnunet_mamba.data.restoring.source_agreement import Agreement

SHOWN_REASONS = 10


def restore(
    predictions: Annotated[Path, typer.Argument(help="Folder of label maps as nnUNetv2_predict writes them.")],
    raw_dataset: Annotated[
        Path,
        typer.Argument(
            help="Folder that nnunet-mamba convert made of the images: the raw data set, or that of --images-only."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the restored masks, new or empty.", show_default=False)
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with the masks before conversion, where there are any, and print Dice."),
    ] = False,
    jobs: Jobs = None,
    progress: ProgressBars = True,
) -> None:
    """Bring predicted label maps back to the size, position and values from before conversion.

    Everything is checked before anything is written, and all problems are listed together. An interrupted run
    continues when it is started again. With the data set's own labels as PREDICTIONS, --check tells what the
    conversion costs: a Dice of 1 at the original size.
    """
    with errors_as_text(is_conversion=False, continues=True, workers="--jobs 1"):
        from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
        from nnunet_mamba.data.restoring.restoration import restore_masks
        from nnunet_mamba.system.parallel import default_jobs

        jobs = jobs or default_jobs()
        dataset = read_converted_dataset(raw_dataset, predictions)
        done = restore_masks(predictions, dataset, output, jobs=jobs, progress=progress)
        for note in _notes(done, dataset):
            print(note, file=sys.stderr)
        if check:
            from nnunet_mamba.data.restoring.source_agreement import compare_with_source

            _print_agreement(compare_with_source(predictions, dataset, jobs=jobs, progress=progress))
        n_cases = len(done.identifiers)
        print(f"{n_cases} masks, {done.n_written} of them written by this run:" if n_cases > 1 else "1 mask:")
        print(done.folder)


def _notes(done: "Restoration", dataset: "ConvertedDataset") -> "Iterator[str]":
    if done.keeps_values:
        yield f"{dataset.folder} does not tell which values the source's masks have: the masks keep nnU-Net's."
    folder = done.folder.resolve()
    for source in dataset.sources:
        if Path(source) in folder.parents:
            yield f"{done.folder} lies in {source}, where the images are: move it before you convert them again."


def _print_agreement(cases: "Sequence[Agreement]") -> None:
    compared = [case for case in cases if case.reason is None]
    for name in compared[0].dice if compared else ():
        scores = {case.identifier: case.dice[name] for case in compared if not math.isnan(case.dice[name])}
        if not scores:
            print(f"{name}: in no mask, before conversion or restored")
            continue
        lowest = min(scores, key=scores.__getitem__)
        mean = sum(scores.values()) / len(scores)
        print(
            f"{name}: Dice with the masks before conversion {mean:.4f} (mean of {len(scores)}), lowest "
            f"{scores[lowest]:.4f} ({lowest})"
        )
    others = [case for case in cases if case.reason is not None]
    if others:
        print(f"{len(others)} masks are not compared:")
    for case in others[:SHOWN_REASONS]:
        print(f"  {case.identifier}: {case.reason}")
    if len(others) > SHOWN_REASONS:
        print(f"  and {len(others) - SHOWN_REASONS} more")
