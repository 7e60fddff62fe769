"""``nnunet-mamba convert folder``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.convert.option_groups import (
    ConversionRun,
    Grouping,
    Leniency,
    Target,
    refuse_masks_without_images,
)
from nnunet_mamba.cli.convert.reports import report_dataset, report_images
from nnunet_mamba.cli.convert.unpacked_sources import convert_unpacked
from nnunet_mamba.cli.options.grouped_options import with_grouped_options
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage

if TYPE_CHECKING:
    from nnunet_mamba.data.writing.raw_dataset import Conversion


# As many arguments as the command has options: typer reads them here, and in the groups.
@with_grouped_options
def folder(
    context: typer.Context,
    source: Annotated[Path | None, typer.Argument(help="Folder of the images and masks.", show_default=False)] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images alone, instead of SOURCE.", show_default=False)
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of the masks alone.", show_default=False)] = None,
    image_pattern: Annotated[
        str | None,
        typer.Option(
            help="Names of images below their folder: {case}, {group} (patient), {channel}, * and **/; such as "
            "'{case}.jpg'.",
            show_default="images/{case}, or {case} with --masks or a pattern",
        ),
    ] = None,
    mask_pattern: Annotated[
        str | None,
        typer.Option(
            help="Names of masks, such as '{case}_mask.png'; {label} where every structure has a mask of its own, such "
            "as '{case}/segmentations/{label}.nii.gz'.",
            show_default="masks/{case}, or {case} with --masks",
        ),
    ] = None,
    test_images: Annotated[
        Path | None, typer.Option(help="Folder of test images, for imagesTs; same patterns.", show_default=False)
    ] = None,
    test_masks: Annotated[
        Path | None, typer.Option(help="Folder of their masks, for labelsTs, if it is another.", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="""What the values or colours of masks mean: {"background": 0, "lesion": [255, "#ff0000"]}.""",
            show_default="masks of 0 and 255, or 0 and 1",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Foreground is what is above this value: 127 for grey borders.", show_default=False),
    ] = None,
    channel_names: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Names of the channels; CT has a normalisation of its own. With {channel}: what stands for it, in "
            "order, such as 'flair,t1' or '0000=flair,0001=t1'.",
            show_default="R,G,B; grey; image; or what stands for {channel}",
        ),
    ] = None,
    join_masks: Annotated[
        bool | None,
        typer.Option(
            "--join-masks/--no-join-masks",
            help="Join all masks of one image to one label, where they overlap the later name counts; or refuse images "
            "with several masks.",
            show_default="join masks that do not overlap, refuse others",
        ),
    ] = None,
    label_names: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="With {label}: what stands for it, in the order of the labels, such as 'liver,spleen' or "
            "'liver=Liver'; the others are not used. Where masks overlap, the later label counts.",
            show_default="what stands for {label}, sorted",
        ),
    ] = None,
    allow_missing_labels: Annotated[
        bool,
        typer.Option(
            "--allow-missing-labels",
            help="With {label}: an image without a mask of a label does not have it, instead of being refused.",
        ),
    ] = False,
    target: Target = Target(dataset_id=105, name="Folder"),
    size: Annotated[
        str, typer.Option(help="Resize pictures and masks to a side such as 256 or HEIGHTxWIDTH, or keep 'original'.")
    ] = "original",
    sigmoid: Annotated[
        bool, typer.Option("--sigmoid", help="A sigmoid output for each label, trained with BCE + Dice.")
    ] = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare images for nnUNetv2_predict, in this folder. Use the options of the training data.",
            show_default=False,
        ),
    ] = None,
    leniency: Leniency = Leniency(),
    grouping: Grouping = Grouping(),
    run: ConversionRun = ConversionRun(),
) -> None:
    """Convert your own images and masks: pictures (PNG, JPEG, TIFF, ...) or volumes (NIfTI, MHA, NRRD).

    Everything is checked before anything is written, and all problems are listed together. An interrupted run
    continues when it is started again.
    """
    from nnunet_mamba.data.converters.folder import convert_folder, prepare_folder_images
    from nnunet_mamba.data.converters.folder_options import FolderFacts, FolderOptions, refuse_threshold
    from nnunet_mamba.data.formats.label_values import read_label_values
    from nnunet_mamba.data.formats.picture_sizes import parse_size
    from nnunet_mamba.data.sources.pattern_source import Source

    root = source or images
    if root is None or (source is not None and images is not None):
        raise typer.BadParameter("give either SOURCE, the folder of images and masks, or --images and --masks")
    refuse_masks_without_images("test", test_images, test_masks)
    of_masks = any((masks, mask_pattern, labels, threshold is not None, join_masks is not None))
    if images_only is not None and (of_masks or test_images or sigmoid or grouping.groups):
        raise typer.BadParameter(
            "--images-only takes SOURCE or --images, --image-pattern, --channel-names, --size and the options of the "
            "run; nothing is trained"
        )
    grouping.refuse_options_without_table()
    with errors_as_text(is_conversion=True, continues=True, workers="--jobs 1"):
        with errors_of_usage():
            target.refuse_wrong_name()
            pixels = parse_size(size)
            named_channels = _listed("--channel-names", channel_names, "R,G,B")
            named_labels = _listed("--label-names", label_names, "liver,spleen")
            run_options = run.options(root, masks, test_images, test_masks)
            refuse_threshold(threshold)
        options = FolderOptions(
            labels=None if labels is None else read_label_values(labels),
            threshold=threshold,
            channel_names=named_channels,
            join_masks=join_masks,
            label_names=named_labels,
            allow_missing_labels=allow_missing_labels,
            size=pixels,
            sigmoid=sigmoid,
            **asdict(leniency),
            groups=grouping.table(),
            run=run_options,
            facts=context.obj or FolderFacts(),
        )

        def convert(
            folder: Path, images: Path, masks: Path | None, test_images: Path | None, test_masks: Path | None
        ) -> "Conversion":
            place = Source(images=images, masks=masks, image_pattern=image_pattern, mask_pattern=mask_pattern)
            if images_only is not None:
                return prepare_folder_images(place, folder, options=options)
            test = None if test_images is None else place.for_test(test_images, test_masks)
            return convert_folder(place, folder, test=test, options=options)

        sources = {"images": root, "masks": masks, "test_images": test_images, "test_masks": test_masks}
        done = convert_unpacked(convert, sources, images_only or target.folder(), progress=run.progress)
        if images_only is not None:
            report_images(done, target.dataset_id)
        else:
            report_dataset(done, target.dataset_id, size)


def _listed(option: str, text: str | None, example: str) -> tuple[str, ...] | None:
    """Return the names in a list with commas, None if the option is not given."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"{option} {text!r}: expected different names with commas between, such as {example}")
    return names
