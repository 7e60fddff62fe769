"""What all conversion commands share: loading the script of a data set, errors as text, the summary at the end."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import typer

from nnunet_mamba.bundled import dataset_conversion_folder

if TYPE_CHECKING:
    from nnunet_mamba.data.raw_dataset import Conversion


def run_as_script(command: Callable[..., None], converter: ModuleType) -> None:
    """Run a conversion command for a script of dataset_conversion/, with the script's own functions.

    Args:
        command: a conversion command.
        converter: the script, so that an edited copy does what it says.
    """
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command()(command)
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
def errors_as_text() -> Iterator[None]:
    """End the command with an error's text: a traceback would hide it."""
    try:
        yield
    except (OSError, ValueError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        print(f"Error: {text}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("Stopped; run the same command again, it continues.", file=sys.stderr)
        raise typer.Exit(130) from None


def report_dataset(done: "Conversion", dataset_id: int, size: str) -> None:
    """Print what a conversion made, and the next command."""
    n_cases = done.n_training + done.n_test
    test = f"{done.n_test} ({done.n_test_labels} with masks)" if done.n_test else "0"
    _print_table(
        {
            "training cases": str(done.n_training),
            "test cases": test,
            "image size": size,
            "folder": str(done.folder),
            "written": _written(done.n_written, n_cases),
        }
    )
    if done.n_training < 5:
        print("\nFewer than five training cases: nnU-Net's five-fold split is impossible, train with fold 'all'.")
    print("\nNext:")
    raw = os.environ.get("nnUNet_raw")
    if not raw or Path(raw).resolve() != done.folder.parent.resolve():
        print(f"  export nnUNet_raw={shlex.quote(str(done.folder.parent.resolve()))}")
    print(f"  nnUNetv2_plan_and_preprocess -d {dataset_id} -c 2d --verify_dataset_integrity")


def report_images(done: "Conversion", dataset_id: int) -> None:
    """Print what was prepared for a prediction, and the next command."""
    _print_table(
        {
            "images": str(done.n_test),
            "folder": str(done.folder),
            "written": _written(done.n_written, done.n_test),
        }
    )
    folder = shlex.quote(str(done.folder))
    out = shlex.quote(str(done.folder) + "_masks")
    print(f"\nNext:\n  nnUNetv2_predict -i {folder} -o {out} -d {dataset_id} -c 2d -f 0 -tr nnUNetTrainerUltraLightVM")
    print("with the -tr of your training, and -device cpu where there is no CUDA device.")


def _written(n_written: int, n_cases: int) -> str:
    if n_written == 0:
        return "nothing to do, the folder was complete"
    return "all cases" if n_written == n_cases else f"{n_written} cases, the others were there"


def _print_table(rows: dict[str, str]) -> None:
    width = max(len(key) for key in rows)
    for key, value in rows.items():
        print(f"{key:<{width}}  {value}")
