"""What all conversion commands share: loading the script of a data set, errors as text, the summary at the end."""

import importlib.util
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from nnunet_mamba.bundled import dataset_conversion_folder
from nnunet_mamba.cli.console import results_console
from nnunet_mamba.cli.option_names import with_option_names
from nnunet_mamba.cli.path_arguments import refuse_unexpanded_paths
from nnunet_mamba.cli.streams import guarded_streams
from nnunet_mamba.data.cases import count_groups
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set

if TYPE_CHECKING:
    from nnunet_mamba.data.writing.raw_dataset import Conversion
    from nnunet_mamba.data.writing.run_options import RunOptions

# Rows of a table that a terminal can show.
SHOWN_ROWS = 50
_SMALLEST_TRAINER = "nnUNetTrainerUltraLightVM"


def run_options(
    jobs: int | None,
    *,
    progress: bool,
    dry_run: bool,
    skip_invalid: bool,
    report: Path | None,
    sources: Sequence[Path | None],
    split: str = "five-fold",
) -> "RunOptions":
    """Return the options above as the converters take them.

    Raises:
        ValueError: an unknown split.
    """
    from nnunet_mamba.data.splits.case_splits import SPLIT_NAMES
    from nnunet_mamba.data.writing.run_options import RunOptions
    from nnunet_mamba.system.parallel import default_jobs

    if split not in SPLIT_NAMES:
        raise ValueError(f"--split {split}: expected one of {', '.join(SPLIT_NAMES)}")
    return RunOptions(
        jobs=jobs or default_jobs(),
        progress=progress,
        dry_run=dry_run,
        skip_invalid=skip_invalid,
        report=report,
        split=split,
        sources=tuple(source for source in sources if source is not None),
        wording=with_option_names,
    )


@contextmanager
def unpacked_sources(*sources: Path | None, target: Path, progress: bool) -> Iterator[list[Any]]:
    """Give the folders that the sources mean, with zip archives among them unpacked while the block runs.

    Args:
        sources: folders, zip archives, or None for what was not given.
        target: of the conversion; archives are unpacked beside it.
        progress: show a bar while one is.
    """
    from nnunet_mamba.data.sources.archives import unpacked

    with ExitStack() as stack:
        yield [
            None if source is None else stack.enter_context(unpacked(source, beside=target.parent, progress=progress))
            for source in sources
        ]


def run_as_script(command: Callable[..., None], converter: ModuleType) -> None:
    """Run a conversion command for a script of dataset_conversion/, with the script's own functions.

    Args:
        command: a conversion command.
        converter: the script, so that an edited copy does what it says.
    """
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command()(command)
    refuse_unexpanded_paths(script)
    with guarded_streams():
        script(obj=converter)


def load_converter(name: str) -> ModuleType:
    """Return the script of a data set in dataset_conversion/ by its name without ending."""
    path = os.path.join(dataset_conversion_folder(), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def errors_of_usage() -> Iterator[None]:
    """End the command as for an unknown option where an option's value means nothing, whatever the data are."""
    try:
        yield
    except ValueError as error:
        print(f"Error: {with_option_names(str(error))}", file=sys.stderr)
        raise typer.Exit(2) from None


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Print what the library logs about its choices."""
    handler = _NoteHandler(logging.INFO)
    logger = logging.getLogger("nnunet_mamba")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _NoteHandler(logging.Handler):
    """Print records as notes, on what standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        print(f"Note: {with_option_names(record.getMessage())}", file=sys.stderr)


@contextmanager
def errors_as_text(*, is_conversion: bool = True, continues: bool = True, workers: str = "--jobs 1") -> Iterator[None]:
    """End the command with an error's text: a traceback would hide it.

    Args:
        is_conversion: whether the command has --skip-invalid and --report.
        continues: whether an interrupted command goes on where it was when it is run again.
        workers: the command's option for the fewest worker processes; "" if it has none.
    """
    try:
        with _notes_on_stderr():
            yield
    except InvalidDatasetError as error:
        from nnunet_mamba.cli.convert.problem_table import print_refusal

        print_refusal(error, is_conversion=is_conversion)
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        print(f"Error: {with_option_names(text)}", file=sys.stderr)
        raise typer.Exit(1) from None
    except MemoryError:
        again = f"with {workers}, or on a larger machine" if workers else "on a larger machine"
        print(f"Error: the memory is full; run the same command again {again}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("Stopped; run the same command again, it continues." if continues else "Stopped.", file=sys.stderr)
        raise typer.Exit(130) from None


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
        from nnunet_mamba.cli.convert.problem_table import print_left_out

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
    print(f"  nnunet-mamba plan {dataset_id} --trainer {trainer}")
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
        from nnunet_mamba.cli.convert.problem_table import print_left_out

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
    return f"{done.split.name}, {len(done.split.folds)} folds ({done.split.source})"


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
