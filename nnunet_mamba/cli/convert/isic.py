"""``nnunet-mamba convert isic``."""

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


# As many arguments as the command has options: typer reads them here, and only here.
def isic(
    context: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(
            help="Folder or zip of the photographs; or of a challenge, with its parts under ISIC's names: training and "
            "validation become training cases, test becomes test cases."
        ),
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
    dataset_id: option_types.DatasetId = 101,
    name: option_types.Name = "ISIC",
    output: option_types.Output = None,
    size: option_types.PhotographSize = "256",
    sigmoid: option_types.SkinSigmoid = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the photographs in IMAGES for nnUNetv2_predict, in this folder. Use the --size of the "
            "training data.",
            show_default=False,
        ),
    ] = None,
    allow_missing_masks: option_types.AllowMissingMasks = False,
    allow_missing_images: option_types.AllowMissingImages = False,
    allow_empty_masks: option_types.AllowEmptyMasks = False,
    groups: option_types.Groups = None,
    group_column: option_types.GroupColumn = None,
    allow_missing_groups: option_types.AllowMissingGroups = False,
    jobs: option_types.Jobs = None,
    progress: option_types.Progress = True,
    dry_run: option_types.DryRun = False,
    skip_invalid: option_types.SkipInvalid = False,
    report: option_types.Report = None,
    split: option_types.SplitName = "five-fold",
) -> None:
    """Convert ISIC 2016, 2017 or 2018 lesion segmentation, or photographs and masks in its layout.

    Masks are called as their image, with _segmentation or without. Everything is checked before anything is
    written, and all problems are listed together. An interrupted run continues when it is started again.
    """
    from nnunet_mamba.data.formats.picture_sizes import parse_size
    from nnunet_mamba.data.sources.group_table import read_group_table
    from nnunet_mamba.data.writing.dataset_folder import dataset_name, raw_dataset_folder

    converter: Any = context.obj or load_converter("Dataset101_ISIC")
    if images_only is not None and (masks or validation_images or test_images or test_masks or sigmoid or groups):
        raise typer.BadParameter("--images-only takes IMAGES, --size, --jobs and --no-progress; nothing is trained")
    if test_masks is not None and test_images is None:
        raise typer.BadParameter("--test-masks needs --test-images")
    if validation_masks is not None and validation_images is None:
        raise typer.BadParameter("--validation-masks needs --validation-images")
    if groups is None and (group_column is not None or allow_missing_groups):
        raise typer.BadParameter("--group-column and --allow-missing-groups need --groups")
    with errors_as_text():
        with errors_of_usage():
            dataset_name(dataset_id, name)
            pixels = parse_size(size)
            run = run_options(
                jobs,
                progress=progress,
                dry_run=dry_run,
                skip_invalid=skip_invalid,
                report=report,
                split=split,
                sources=(images, masks, validation_images, validation_masks, test_images, test_masks),
            )
        options = converter.IsicOptions(
            size=pixels,
            sigmoid=sigmoid,
            allow_missing_masks=allow_missing_masks,
            allow_missing_images=allow_missing_images,
            allow_empty_masks=allow_empty_masks,
            groups=None
            if groups is None
            else read_group_table(groups, group_column=group_column, allow_missing=allow_missing_groups),
            run=run,
        )
        if images_only is not None:
            with unpacked_sources(images, target=images_only, progress=progress) as (images,):
                report_images(converter.prepare_isic_images(images, images_only, options=options), dataset_id)
            return
        folder = raw_dataset_folder(dataset_id, name, output=output)
        given = {
            "images": images,
            "masks": masks,
            "validation_images": validation_images,
            "validation_masks": validation_masks,
            "test_images": test_images,
            "test_masks": test_masks,
        }
        if masks is None and images.is_dir():
            # Here, because archives among the parts are unpacked.
            given = {**given, **converter.places_of_challenge(images, split=split, given=given)}
        with unpacked_sources(*given.values(), target=folder, progress=progress) as folders:
            places = dict(zip(given, folders, strict=True))
            done = converter.convert_isic(places.pop("images"), places.pop("masks"), folder, **places, options=options)
        report_dataset(done, dataset_id, size)
