"""``nnunet-mamba convert lgg``."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from nnunet_mamba.cli.convert import option_types
from nnunet_mamba.cli.convert.shared import (
    errors_as_text,
    errors_of_usage,
    load_converter,
    report_dataset,
    report_images,
    run_options,
    unpacked_sources,
)


class Kind(str, Enum):
    """What a case is."""

    volumes = "volumes"
    slices = "slices"


# As many arguments as the command has options: typer reads them here, and only here.
def lgg(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(help="Folder kaggle_3m with the patients' folders, or the archive, packed or not.")
    ],
    dataset_id: option_types.DatasetId = 103,
    name: option_types.Name = "LGG",
    output: option_types.Output = None,
    kind: Annotated[
        Kind,
        typer.Option(
            "--as",
            help="'volumes': a case is a patient, in 3D, for 2d and 3d_fullres. 'slices': a case is a slice, an RGB "
            "image, as in the tumour papers.",
        ),
    ] = Kind.volumes,
    slice_thickness: Annotated[
        float | None,
        typer.Option(help="mm from slice to slice, of volumes; the files do not say it.", show_default="5"),
    ] = None,
    pixel_spacing: Annotated[
        float | None,
        typer.Option(help="mm from pixel to pixel, of volumes; the files do not say it.", show_default="1"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Resize slices that are cases to a side such as 128, HEIGHTxWIDTH, or keep 'original' (256x256).",
            show_default="original",
        ),
    ] = None,
    sigmoid: Annotated[
        bool, typer.Option("--sigmoid", help="One sigmoid output trained with BCE + Dice instead of softmax.")
    ] = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the images for nnUNetv2_predict, in this folder; no masks are needed. Use --as, --size "
            "and spacing of the training data.",
            show_default=False,
        ),
    ] = None,
    jobs: option_types.Jobs = None,
    progress: option_types.Progress = True,
    dry_run: option_types.DryRun = False,
    skip_invalid: option_types.SkipInvalid = False,
    report: option_types.Report = None,
    split: option_types.SplitName = "five-fold",
) -> None:
    """Convert the lower-grade gliomas of TCGA as Kaggle has them (lgg-mri-segmentation): MR slices with tumour masks.

    Everything is checked before anything is written, and all problems are listed together. Sequences that were never
    acquired, for which the files hold FLAIR again, are listed too. An interrupted run continues when it is started
    again.
    """
    from nnunet_mamba.data.formats.picture_sizes import parse_size
    from nnunet_mamba.data.writing.dataset_folder import dataset_name, raw_dataset_folder

    converter: Any = context.obj or load_converter("Dataset103_LGG")
    as_volumes = kind is Kind.volumes
    if images_only is not None and (sigmoid or split != "five-fold"):
        raise typer.BadParameter("--images-only prepares images; --sigmoid and --split are for labelled cases")
    if not as_volumes and (slice_thickness is not None or pixel_spacing is not None):
        raise typer.BadParameter("--slice-thickness and --pixel-spacing are for --as volumes; a slice has no spacing")
    with errors_as_text():
        with errors_of_usage():
            dataset_name(dataset_id, name)
            options = converter.LggOptions(
                as_volumes=as_volumes,
                slice_thickness=converter.SLICE_THICKNESS if slice_thickness is None else slice_thickness,
                pixel_spacing=converter.PIXEL_SPACING if pixel_spacing is None else pixel_spacing,
                size=parse_size(size or "original"),
                sigmoid=sigmoid,
                run=run_options(
                    jobs,
                    progress=progress,
                    dry_run=dry_run,
                    skip_invalid=skip_invalid,
                    report=report,
                    split=split,
                    sources=(source,),
                ),
            )
        folder = images_only or raw_dataset_folder(dataset_id, name, output=output)
        with unpacked_sources(source, target=folder, progress=progress) as (unpacked,):
            tree, twin = converter.find_tree(unpacked)
            if twin is not None:
                twice, once = (source / path.relative_to(unpacked) for path in (twin, tree))
                print(f"{twice} holds the same files as {once}; they are taken once.\n", file=sys.stderr)
            convert = converter.convert_lgg if images_only is None else converter.prepare_lgg_images
            done = convert(tree, folder, options=options)
        has_table = images_only is None and not dry_run
        _print_missing_sequences(converter.missing_sequences(done), converter.MISSING_SEQUENCES if has_table else "")
        if images_only is not None:
            report_images(done, dataset_id)
        elif as_volumes:
            thickness, spacing = options.slice_thickness, options.pixel_spacing
            size_text = f"original, {thickness:g} x {spacing:g} x {spacing:g} mm (z, y, x)"
            report_dataset(
                done, dataset_id, size_text, configurations="2d 3d_fullres", trainer="nnUNetTrainerUMambaBot"
            )
        else:
            report_dataset(done, dataset_id, size or "original")


def _print_missing_sequences(missing: list[tuple[str, str]], file_name: str) -> None:
    if missing:
        where = f", also in {file_name}" if file_name else ""
        print(f"Sequences that are missing, with FLAIR in their place{where}:")
        for scan, sequence in missing:
            print(f"  {scan}  {sequence}")
        print()
