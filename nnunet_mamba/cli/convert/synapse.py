"""``nnunet-mamba convert synapse``."""

import sys
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.convert.option_groups import ConversionRun, Target
from nnunet_mamba.cli.convert.reports import report_dataset, report_images
from nnunet_mamba.cli.convert.unpacked_sources import convert_unpacked
from nnunet_mamba.cli.options.grouped_options import with_grouped_options
from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage


class LabelNumbering(str, Enum):
    """How TransUNet's files number the organs."""

    alphabetical = "alphabetical"
    btcv = "btcv"


# As many arguments as the command has options: typer reads them here, and in the groups.
@with_grouped_options
def synapse(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(help="Folder RawData with NIfTI files, or TransUNet's folder of train_npz and test_vol_h5."),
    ],
    target: Target = Target(dataset_id=104, name="Synapse"),
    organs: Annotated[int, typer.Option(help="8 as in the papers, or all 13 of RawData.")] = 8,
    label_numbering: Annotated[
        LabelNumbering | None,
        typer.Option(
            help="Of TransUNet's files, which do not tell: 'alphabetical' (1 is the aorta, the authors' files) or "
            "'btcv' (1 is the spleen, most files made anew).",
            show_default=False,
        ),
    ] = None,
    slice_thickness: Annotated[
        float | None,
        typer.Option(help="mm from slice to slice, of TransUNet's files, which do not say it.", show_default="3"),
    ] = None,
    pixel_spacing: Annotated[
        float | None,
        typer.Option(help="mm from pixel to pixel, of TransUNet's files, which do not say it.", show_default="0.76"),
    ] = None,
    sigmoid: Annotated[
        bool,
        typer.Option("--sigmoid", help="A sigmoid output for each organ, trained with BCE + Dice instead of softmax."),
    ] = False,
    images_only: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Only prepare the images for nnUNetv2_predict, in this folder. Use the spacing of the training data.",
            show_default=False,
        ),
    ] = None,
    run: ConversionRun = ConversionRun(),
) -> None:
    """Convert the abdominal CT of Synapse (BTCV), original or preprocessed by TransUNet.

    Images keep their values and their grid, and labels are brought onto it through physical space. Everything is
    checked before anything is written, and all problems are listed together. An interrupted run continues when it is
    started again.
    """
    from nnunet_mamba.data.converters.synapse import (
        SynapseFacts,
        SynapseOptions,
        convert_synapse,
        prepare_synapse_images,
    )
    from nnunet_mamba.data.converters.synapse_organs import implausible_sizes

    if images_only is not None and (organs != 8 or sigmoid or not run.has_default_split):
        raise typer.BadParameter(
            "--images-only prepares images; --organs, --sigmoid and --split are for labelled cases"
        )
    sources = {"source": source}
    with errors_as_text(is_conversion=True, continues=True, workers="--jobs 1"):
        with errors_of_usage():
            target.refuse_wrong_name()
            options = SynapseOptions(
                organs=organs,
                label_numbering=label_numbering.value if label_numbering else None,
                pixel_spacing=pixel_spacing,
                slice_thickness=slice_thickness,
                sigmoid=sigmoid,
                run=run.options(source),
                facts=context.obj or SynapseFacts(),
            )
        if images_only is not None:
            prepare = partial(prepare_synapse_images, options=options)
            report_images(convert_unpacked(prepare, sources, images_only, progress=run.progress), target.dataset_id)
            return
        convert = partial(convert_synapse, options=options)
        done = convert_unpacked(convert, sources, target.folder(), progress=run.progress)
        report_dataset(
            done,
            target.dataset_id,
            "as in the source",
            configurations="2d 3d_fullres",
            trainer="nnUNetTrainerUMambaBot",
        )
        doubts = implausible_sizes(one.source.get("voxels", {}) for one in done.checked.values())
        if doubts:
            print(
                f"\nWarning: the numbers of the organs look wrong: over all cases, {'; '.join(doubts)}. "
                "Look at a case, and try another --label-numbering.",
                file=sys.stderr,
            )
