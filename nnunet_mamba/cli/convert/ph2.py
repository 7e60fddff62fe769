"""``nnunet-mamba convert ph2``."""

import shlex
from dataclasses import replace
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

# nnU-Net's number of the ISIC data sets, with which the skin papers trained the networks that PH2 tests.
_TRAINED_ON = 101


# As many arguments as the command has options: typer reads them here, and only here.
def ph2(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Folder that PH2Dataset.rar was unpacked to, or one of those in it.")],
    as_test: Annotated[
        bool,
        typer.Option(
            "--as-test",
            help="Send all cases to imagesTs and labelsTs, to test networks trained on ISIC, as in the skin papers.",
        ),
    ] = False,
    dataset_id: option_types.DatasetId = 102,
    name: option_types.Name = "PH2",
    output: option_types.Output = None,
    size: option_types.PhotographSize = "256",
    sigmoid: option_types.SkinSigmoid = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the photographs for nnUNetv2_predict, in this folder. Use the --size of the training "
            "data.",
            show_default=False,
        ),
    ] = None,
    allow_missing_masks: option_types.AllowMissingMasks = False,
    allow_missing_images: option_types.AllowMissingImages = False,
    allow_empty_masks: option_types.AllowEmptyMasks = False,
    jobs: option_types.Jobs = None,
    progress: option_types.Progress = True,
    dry_run: option_types.DryRun = False,
    skip_invalid: option_types.SkipInvalid = False,
    report: option_types.Report = None,
    split: option_types.SplitName = "five-fold",
) -> None:
    """Convert PH2, dermoscopy of 200 naevi and melanomas.

    Everything is checked before anything is written, and all problems are listed together. An interrupted run
    continues when it is started again.
    """
    from nnunet_mamba.cli.convert.problem_table import print_left_out
    from nnunet_mamba.data.converters.binary_mask_photographs import PhotographOptions
    from nnunet_mamba.data.formats.picture_sizes import parse_size
    from nnunet_mamba.data.writing.dataset_folder import dataset_name, raw_dataset_folder

    converter: Any = context.obj or load_converter("Dataset102_PH2")
    if images_only is not None and (as_test or sigmoid):
        raise typer.BadParameter("--images-only takes SOURCE, --size and the options of the run; nothing is trained")
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
                sources=(source,),
            )
        options = PhotographOptions(
            size=pixels,
            sigmoid=sigmoid,
            allow_missing_masks=allow_missing_masks,
            allow_missing_images=allow_missing_images,
            allow_empty_masks=allow_empty_masks,
            run=run,
        )
        if images_only is not None:
            with unpacked_sources(source, target=images_only, progress=progress) as (source,):
                report_images(converter.prepare_ph2_images(source, images_only, options=options), _TRAINED_ON)
            return
        folder = raw_dataset_folder(dataset_id, name, output=output)
        with unpacked_sources(source, target=folder, progress=progress) as (source,):
            done = converter.convert_ph2(source, folder, as_test=as_test, options=options)
        if done.is_dry_run or not as_test:
            report_dataset(done, dataset_id, size)
            return
        if done.skipped:
            print_left_out(done.skipped, done.report)
        images = folder / "imagesTs"
        report_images(replace(done, folder=images), _TRAINED_ON)
        print(f"  nnunet-mamba evaluate {shlex.quote(f'{images}_masks')} {shlex.quote(str(folder / 'labelsTs'))}")
