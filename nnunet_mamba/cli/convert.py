"""``nnunet-mamba convert``: published data sets as nnU-Net raw data; the converters are in dataset_conversion/."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnunet_mamba.bundled import dataset_conversion_folder

if TYPE_CHECKING:
    from nnunet_mamba.data.raw_dataset import Conversion

app = typer.Typer(help="Convert a data set to nnU-Net's raw format.", no_args_is_help=True)


@app.callback()
def _convert() -> None:
    """Convert a data set to nnU-Net's raw format."""


# As many arguments as the command has options: typer reads them here, and only here.
@app.command("isic")
def isic(
    context: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(help="Folder of the photographs; or a folder that holds one pair of image and mask folders."),
    ],
    masks: Annotated[Path | None, typer.Argument(help="Folder of the masks.", show_default=False)] = None,
    test_images: Annotated[
        Path | None, typer.Option(help="Folder of test photographs, for imagesTs.", show_default=False)
    ] = None,
    test_masks: Annotated[
        Path | None, typer.Option(help="Folder of their masks, for labelsTs.", show_default=False)
    ] = None,
    dataset_id: Annotated[int, typer.Option(help="nnU-Net's number of the data set, 1 to 999.")] = 101,
    name: Annotated[str, typer.Option(help="Name of the data set.")] = "ISIC",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder that gets Dataset<id>_<name>.", show_default="$nnUNet_raw"),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            help="Resize whole images and masks to 256 (256x256, as in the papers), HEIGHTxWIDTH, or keep 'original'."
        ),
    ] = "256",
    sigmoid: Annotated[
        bool,
        typer.Option(
            "--sigmoid", help="One sigmoid output trained with BCE + Dice (the skin papers' loss) instead of softmax."
        ),
    ] = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the photographs in IMAGES for nnUNetv2_predict, in this folder. Use the --size of the "
            "training data.",
            show_default=False,
        ),
    ] = None,
    allow_missing_masks: Annotated[
        bool,
        typer.Option("--allow-missing-masks", help="Send images without a mask to imagesTs instead of refusing them."),
    ] = False,
    allow_missing_images: Annotated[
        bool,
        typer.Option("--allow-missing-images", help="Leave out masks without an image instead of refusing them."),
    ] = False,
    allow_empty_masks: Annotated[
        bool, typer.Option("--allow-empty-masks", help="Accept masks without any lesion instead of refusing them.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes; the result is the same.", show_default="one per core, at most 4"),
    ] = None,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show progress bars.")] = True,
) -> None:
    """Convert ISIC 2016, 2017 or 2018 lesion segmentation, or photographs and masks in its layout.

    Masks are called as their image, with _segmentation or without. Everything is checked before anything is
    written, and all problems are listed together. An interrupted run continues when it is started again.
    """
    from nnunet_mamba.data.dataset_folder import raw_dataset_folder
    from nnunet_mamba.data.parallel import default_jobs
    from nnunet_mamba.data.photographs import PhotographOptions, parse_size

    converter: Any = context.obj or _load_converter("Dataset101_ISIC")
    if images_only is not None and (masks or test_images or test_masks or sigmoid):
        raise typer.BadParameter("--images-only takes IMAGES, --size, --jobs and --no-progress; nothing is trained")
    if test_masks is not None and test_images is None:
        raise typer.BadParameter("--test-masks needs --test-images")
    with _errors_as_text():
        options = PhotographOptions(
            size=parse_size(size),
            sigmoid=sigmoid,
            allow_missing_masks=allow_missing_masks,
            allow_missing_images=allow_missing_images,
            allow_empty_masks=allow_empty_masks,
            jobs=jobs or default_jobs(),
            progress=progress,
        )
        if images_only is not None:
            _report_images(converter.prepare_isic_images(images, images_only, options=options), dataset_id)
            return
        folder = raw_dataset_folder(dataset_id, name, output=output)
        done = converter.convert_isic(
            images, masks, folder, test_images=test_images, test_masks=test_masks, options=options
        )
        _report_dataset(done, dataset_id, size)


def run_as_script(command: Callable[..., None], converter: ModuleType) -> None:
    """Run a conversion command for a script of dataset_conversion/, with the script's own functions.

    Args:
        command: a function of this module.
        converter: the script, so that an edited copy does what it says.
    """
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command()(command)
    script(obj=converter)


def _load_converter(name: str) -> ModuleType:
    path = os.path.join(dataset_conversion_folder(), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _errors_as_text() -> Iterator[None]:
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


def _report_dataset(done: "Conversion", dataset_id: int, size: str) -> None:
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


def _report_images(done: "Conversion", dataset_id: int) -> None:
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
