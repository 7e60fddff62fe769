"""``nnunet-mamba convert lgg``."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.convert.option_groups import ConversionRun, Target
from nnunet_mamba.cli.convert.reports import report_dataset, report_images
from nnunet_mamba.cli.convert.unpacked_sources import convert_unpacked
from nnunet_mamba.cli.options.grouped_options import with_grouped_options
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage

if TYPE_CHECKING:
    from nnunet_mamba.data.writing.raw_dataset import Conversion


class Kind(str, Enum):
    """What a case is."""

    volumes = "volumes"
    slices = "slices"


# As many arguments as the command has options: typer reads them here, and in the groups.
@with_grouped_options
def lgg(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(help="Folder kaggle_3m with the patients' folders, or the archive, packed or not.")
    ],
    target: Target = Target(dataset_id=103, name="LGG"),
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
    run: ConversionRun = ConversionRun(),
) -> None:
    """Convert the lower-grade gliomas of TCGA as Kaggle has them (lgg-mri-segmentation): MR slices with tumour masks.

    Everything is checked before anything is written, and all problems are listed together. Sequences that were never
    acquired, for which the files hold FLAIR again, are listed too. An interrupted run continues when it is started
    again.
    """
    from nnunet_mamba.data.converters.lgg import (
        MISSING_SEQUENCES,
        LggFacts,
        LggOptions,
        convert_lgg,
        missing_sequences,
        prepare_lgg_images,
    )
    from nnunet_mamba.data.converters.lgg_tree import find_tree
    from nnunet_mamba.data.formats.picture_sizes import parse_size

    as_volumes = kind is Kind.volumes
    if images_only is not None and (sigmoid or not run.has_default_split):
        raise typer.BadParameter("--images-only prepares images; --sigmoid and --split are for labelled cases")
    if not as_volumes and (slice_thickness is not None or pixel_spacing is not None):
        raise typer.BadParameter("--slice-thickness and --pixel-spacing are for --as volumes; a slice has no spacing")
    with errors_as_text(is_conversion=True, continues=True, workers="--jobs 1"):
        with errors_of_usage():
            target.refuse_wrong_name()
            options = LggOptions(
                as_volumes=as_volumes,
                slice_thickness=slice_thickness,
                pixel_spacing=pixel_spacing,
                size=parse_size(size or "original"),
                sigmoid=sigmoid,
                run=run.options(source),
                facts=context.obj or LggFacts(),
            )

        def convert(unpacked: Path, folder: Path) -> "Conversion":
            tree, twin = find_tree(unpacked)
            if twin is not None:
                twice, once = (source / path.relative_to(unpacked) for path in (twin, tree))
                print(f"{twice} holds the same files as {once}; they are taken once.\n", file=sys.stderr)
            return (convert_lgg if images_only is None else prepare_lgg_images)(tree, folder, options=options)

        done = convert_unpacked(convert, {"unpacked": source}, images_only or target.folder(), progress=run.progress)
        has_table = images_only is None and not run.dry_run
        _print_missing_sequences(missing_sequences(done), MISSING_SEQUENCES if has_table else "")
        if images_only is not None:
            report_images(done, target.dataset_id)
        elif as_volumes:
            thickness, in_plane, _ = options.spacing
            size_text = f"original, {thickness:g} x {in_plane:g} x {in_plane:g} mm (z, y, x)"
            report_dataset(
                done, target.dataset_id, size_text, configurations="2d 3d_fullres", trainer="nnUNetTrainerUMambaBot"
            )
        else:
            report_dataset(done, target.dataset_id, size or "original")


def _print_missing_sequences(missing: list[tuple[str, str]], file_name: str) -> None:
    if missing:
        where = f", also in {file_name}" if file_name else ""
        print(f"Sequences that are missing, with FLAIR in their place{where}:")
        for scan, sequence in missing:
            print(f"  {scan}  {sequence}")
        print()
