"""``nnunet-mamba convert isic``."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.convert.option_groups import (
    ConversionRun,
    Grouping,
    Leniency,
    PhotographSize,
    SkinSigmoid,
    Target,
    refuse_masks_without_images,
)
from nnunet_mamba.cli.convert.reports import report_dataset, report_images
from nnunet_mamba.cli.convert.unpacked_sources import convert_unpacked
from nnunet_mamba.cli.options.grouped_options import with_grouped_options
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage


# As many arguments as the command has options: typer reads them here, and in the groups.
@with_grouped_options
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
    target: Target = Target(dataset_id=101, name="ISIC"),
    size: PhotographSize = "256",
    sigmoid: SkinSigmoid = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the photographs in IMAGES for nnUNetv2_predict, in this folder. Use the --size of the "
            "training data.",
            show_default=False,
        ),
    ] = None,
    leniency: Leniency = Leniency(),
    grouping: Grouping = Grouping(),
    run: ConversionRun = ConversionRun(),
) -> None:
    """Convert ISIC 2016, 2017 or 2018 lesion segmentation, or photographs and masks in its layout.

    Masks are called as their image, with _segmentation or without. Everything is checked before anything is
    written, and all problems are listed together. An interrupted run continues when it is started again.
    """
    from nnunet_mamba.data.converters.isic import (
        IsicFacts,
        IsicOptions,
        convert_isic,
        places_of_challenge,
        prepare_isic_images,
    )
    from nnunet_mamba.data.formats.picture_sizes import parse_size

    if images_only is not None and any((masks, validation_images, test_images, test_masks, sigmoid, grouping.groups)):
        raise typer.BadParameter("--images-only takes IMAGES, --size, --jobs and --no-progress; nothing is trained")
    refuse_masks_without_images("test", test_images, test_masks)
    refuse_masks_without_images("validation", validation_images, validation_masks)
    grouping.refuse_options_without_table()
    sources = {
        "images": images,
        "masks": masks,
        "validation_images": validation_images,
        "validation_masks": validation_masks,
        "test_images": test_images,
        "test_masks": test_masks,
    }
    with errors_as_text(is_conversion=True, continues=True, workers="--jobs 1"):
        with errors_of_usage():
            target.refuse_wrong_name()
            pixels = parse_size(size)
            run_options = run.options(*sources.values())
        options = IsicOptions(
            size=pixels,
            sigmoid=sigmoid,
            **asdict(leniency),
            groups=grouping.table(),
            run=run_options,
            facts=context.obj or IsicFacts(),
        )
        if images_only is not None:
            prepare = partial(prepare_isic_images, options=options)
            done = convert_unpacked(prepare, {"images": images}, images_only, progress=run.progress)
            report_images(done, target.dataset_id)
            return
        folder = target.folder()
        if masks is None and images.is_dir():
            # Here, because archives among the parts are unpacked.
            sources |= places_of_challenge(images, split=run.split, given=sources)
        done = convert_unpacked(partial(convert_isic, options=options), sources, folder, progress=run.progress)
        report_dataset(done, target.dataset_id, size)
