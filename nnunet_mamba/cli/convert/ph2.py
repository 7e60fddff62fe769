"""``nnunet-mamba convert ph2``."""

import shlex
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.convert.option_groups import ConversionRun, Leniency, PhotographSize, SkinSigmoid, Target
from nnunet_mamba.cli.convert.reports import report_dataset, report_images
from nnunet_mamba.cli.convert.unpacked_sources import convert_unpacked
from nnunet_mamba.cli.options.grouped_options import with_grouped_options
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage

# nnU-Net's number of the ISIC data sets, with which the skin papers trained the networks that PH2 tests.
_TRAINED_ON = 101


# As many arguments as the command has options: typer reads them here, and in the groups.
@with_grouped_options
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
    target: Target = Target(dataset_id=102, name="PH2"),
    size: PhotographSize = "256",
    sigmoid: SkinSigmoid = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the photographs for nnUNetv2_predict, in this folder. Use the --size of the training "
            "data.",
            show_default=False,
        ),
    ] = None,
    leniency: Leniency = Leniency(),
    run: ConversionRun = ConversionRun(),
) -> None:
    """Convert PH2, dermoscopy of 200 naevi and melanomas.

    Everything is checked before anything is written, and all problems are listed together. An interrupted run
    continues when it is started again.
    """
    from nnunet_mamba.cli.output.problem_table import print_left_out
    from nnunet_mamba.data.converters.ph2 import Ph2Facts, Ph2Options, convert_ph2, prepare_ph2_images
    from nnunet_mamba.data.formats.picture_sizes import parse_size

    if images_only is not None and (as_test or sigmoid):
        raise typer.BadParameter("--images-only takes SOURCE, --size and the options of the run; nothing is trained")
    sources = {"source": source}
    with errors_as_text(is_conversion=True, continues=True, workers="--jobs 1"):
        with errors_of_usage():
            target.refuse_wrong_name()
            options = Ph2Options(
                size=parse_size(size),
                sigmoid=sigmoid,
                **asdict(leniency),
                run=run.options(source),
                facts=context.obj or Ph2Facts(),
            )
        if images_only is not None:
            prepare = partial(prepare_ph2_images, options=options)
            done = convert_unpacked(prepare, sources, images_only, progress=run.progress)
            report_images(done, _TRAINED_ON)
            return
        folder = target.folder()
        convert = partial(convert_ph2, as_test=as_test, options=options)
        done = convert_unpacked(convert, sources, folder, progress=run.progress)
        if done.is_dry_run or not as_test:
            report_dataset(done, target.dataset_id, size)
            return
        if done.skipped:
            print_left_out(done.skipped, done.report)
        images = folder / "imagesTs"
        report_images(replace(done, folder=images), _TRAINED_ON)
        print(f"  nnunet-mamba evaluate {shlex.quote(f'{images}_masks')} {shlex.quote(str(folder / 'labelsTs'))}")
