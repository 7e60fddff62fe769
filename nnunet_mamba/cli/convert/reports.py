"""What a conversion prints at its end: what it made, and the next commands."""

import shlex
import sys
from typing import TYPE_CHECKING

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.console import results_console
from nnunet_mamba.cli.output.problem_table import SHOWN_ROWS
from nnunet_mamba.data.cases import count_groups
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set

if TYPE_CHECKING:
    from nnunet_mamba.data.writing.raw_dataset import Conversion

_SMALLEST_TRAINER = "nnUNetTrainerUltraLightVM"


def report_dataset(
    done: "Conversion", dataset_id: int, size: str, *, configurations: str = "2d", trainer: str = _SMALLEST_TRAINER
) -> None:
    """Print what a conversion made, and the next commands.

    Args:
        done: the conversion.
        dataset_id: nnU-Net's number of the data set.
        size: of the images, in words.
        configurations: that nnU-Net can plan for such images.
        trainer: one of ours that suits them.
    """
    if done.skipped:
        from nnunet_mamba.cli.output.problem_table import print_left_out

        print_left_out(done.skipped, done.report)
    if done.is_dry_run:
        _print_dry_run(done)
    n_cases = done.n_training + done.n_test
    test = f"{done.n_test} ({done.n_test_labels} with masks)" if done.n_test else "0"
    _print_table(
        {
            "training cases": str(done.n_training),
            "test cases": test,
            "image size": size,
            "split": _split_text(done),
            **_groups_row(done),
            "folder": str(done.folder),
            "written": "nothing, a dry run" if done.is_dry_run else _written(done.n_written, n_cases),
        }
    )
    if done.split is not None and done.split.warning:
        print(f"\nWarning: {with_option_names(done.split.warning)}")
    _print_hints(done)
    if done.is_dry_run:
        return
    print("\nNext:")
    raw = nnunet_folder_if_set("nnUNet_raw")
    if raw is None or raw.resolve() != done.folder.parent.resolve():
        print(f"  export nnUNet_raw={shlex.quote(str(done.folder.parent.resolve()))}")
    print(f"  nnUNetv2_plan_and_preprocess -d {dataset_id} -c {configurations} --verify_dataset_integrity")
    print(f"  nnunet-mamba plan {dataset_id} --trainers {trainer}")
    print(
        "nnU-Net plans batches for its own network, which may take hours more with ours and train no better; "
        "nnunet-mamba plan fits them."
    )


def _print_hints(done: "Conversion") -> None:
    from nnunet_mamba.data.converters.mask_hints import mask_hints

    left = {case.identifier for case in done.cases}
    for hint in mask_hints({name: found for name, found in done.checked.items() if name in left}):
        print(f"\nHint: {with_option_names(hint)}", file=sys.stderr)


def report_images(done: "Conversion", dataset_id: int) -> None:
    """Print what was prepared for a prediction, and the next command."""
    if done.skipped:
        from nnunet_mamba.cli.output.problem_table import print_left_out

        print_left_out(done.skipped, done.report)
    if done.is_dry_run:
        _print_dry_run(done)
    _print_table(
        {
            "images": str(done.n_test),
            "folder": str(done.folder),
            "written": "nothing, a dry run" if done.is_dry_run else _written(done.n_written, done.n_test),
        }
    )
    if done.is_dry_run:
        return
    folder = shlex.quote(str(done.folder))
    out = shlex.quote(str(done.folder) + "_masks")
    print(f"\nNext:\n  nnUNetv2_predict -i {folder} -o {out} -d {dataset_id} -c 2d -f 0 -tr {_SMALLEST_TRAINER}")
    print("with the -tr of your training, and -device cpu where there is no CUDA device.")


def _groups_row(done: "Conversion") -> dict[str, str]:
    training = [case for case in done.cases if case.is_training]
    n_groups = count_groups(training)
    return {} if n_groups == len(training) else {"groups": f"{n_groups} for {len(training)} training cases"}


def _split_text(done: "Conversion") -> str:
    if done.split is None or not done.split.folds:
        return "none"
    return f"{done.split.name}, {how_many(len(done.split.folds), 'fold')} ({done.split.source})"


def _print_dry_run(done: "Conversion") -> None:
    """Print what every case would become."""
    from rich.table import Table

    table = Table(title="a dry run: nothing is written", title_justify="left", show_edge=False)
    is_grouped = any(case.group is not None for case in done.cases)
    for heading in ("case", "part", "source size", "labelled", *(["group"] if is_grouped else [])):
        table.add_column(heading, justify="right" if heading == "labelled" else "left", no_wrap=True)
    for case in done.cases[:SHOWN_ROWS]:
        found = done.checked.get(case.identifier)
        size = "×".join(map(str, found.source["shape"])) if found else "checked before"
        share = f"{found.foreground:.1%}" if found and found.foreground is not None else ""
        group = [case.group or ""] if is_grouped else []
        table.add_row(case.identifier, "training" if case.is_training else "test", size, share, *group)
    console = results_console(width=120)
    console.print(table)
    if len(done.cases) > SHOWN_ROWS:
        console.print(f"and {len(done.cases) - SHOWN_ROWS} more")


def _written(n_written: int, n_cases: int) -> str:
    if n_written == 0:
        return "nothing to do, the folder was complete"
    return "all cases" if n_written == n_cases else f"{n_written} cases, the others were there"


def _print_table(rows: dict[str, str]) -> None:
    width = max(len(key) for key in rows)
    for key, value in rows.items():
        print(f"{key:<{width}}  {value}")
