"""``nnunet-mamba convert isic``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nnunet_mamba.cli.convert.shared import (
    DatasetId,
    DryRun,
    Jobs,
    Name,
    Output,
    Progress,
    Report,
    SkipInvalid,
    SplitName,
    errors_as_text,
    load_converter,
    report_dataset,
    report_images,
    run_options,
    unpacked_sources,
)


# As many arguments as the command has options: typer reads them here, and only here.
def isic(
    context: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(help="Folder or zip of the photographs; or one that holds a pair of image and mask folders."),
    ],
    masks: Annotated[Path | None, typer.Argument(help="Folder or zip of the masks.", show_default=False)] = None,
    validation_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the validation part, whose cases become training cases too, as in the papers (ISIC 2017: "
            "2000 + 150, ISIC 2018: 2594 + 100).",
            show_default=False,
        ),
    ] = None,
    validation_masks: Annotated[Path | None, typer.Option(help="Folder of their masks.", show_default=False)] = None,
    test_images: Annotated[
        Path | None, typer.Option(help="Folder of test photographs, for imagesTs.", show_default=False)
    ] = None,
    test_masks: Annotated[
        Path | None, typer.Option(help="Folder of their masks, for labelsTs.", show_default=False)
    ] = None,
    dataset_id: DatasetId = 101,
    name: Name = "ISIC",
    output: Output = None,
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
    jobs: Jobs = None,
    progress: Progress = True,
    dry_run: DryRun = False,
    skip_invalid: SkipInvalid = False,
    report: Report = None,
    split: SplitName = "five-fold",
) -> None:
    """Convert ISIC 2016, 2017 or 2018 lesion segmentation, or photographs and masks in its layout.

    Masks are called as their image, with _segmentation or without. Everything is checked before anything is
    written, and all problems are listed together. An interrupted run continues when it is started again.
    """
    from nnunet_mamba.data.dataset_folder import raw_dataset_folder
    from nnunet_mamba.data.photographs import PhotographOptions, parse_size

    converter: Any = context.obj or load_converter("Dataset101_ISIC")
    if images_only is not None and (masks or validation_images or test_images or test_masks or sigmoid):
        raise typer.BadParameter("--images-only takes IMAGES, --size, --jobs and --no-progress; nothing is trained")
    if test_masks is not None and test_images is None:
        raise typer.BadParameter("--test-masks needs --test-images")
    if validation_masks is not None and validation_images is None:
        raise typer.BadParameter("--validation-masks needs --validation-images")
    with errors_as_text():
        options = PhotographOptions(
            size=parse_size(size),
            sigmoid=sigmoid,
            allow_missing_masks=allow_missing_masks,
            allow_missing_images=allow_missing_images,
            allow_empty_masks=allow_empty_masks,
            run=run_options(
                jobs, progress=progress, dry_run=dry_run, skip_invalid=skip_invalid, report=report, split=split
            ),
        )
        if images_only is not None:
            with unpacked_sources(images, beside=images_only.parent, progress=progress) as (images,):
                report_images(converter.prepare_isic_images(images, images_only, options=options), dataset_id)
            return
        folder = raw_dataset_folder(dataset_id, name, output=output)
        given = (images, masks, validation_images, validation_masks, test_images, test_masks)
        with unpacked_sources(*given, beside=folder.parent, progress=progress) as folders:
            names = ("validation_images", "validation_masks", "test_images", "test_masks")
            parts = dict(zip(names, folders[2:], strict=True))
            done = converter.convert_isic(folders[0], folders[1], folder, **parts, options=options)
        report_dataset(done, dataset_id, size)
