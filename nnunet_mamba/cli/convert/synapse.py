"""``nnunet-mamba convert synapse``."""

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


class LabelNumbering(str, Enum):
    """How TransUNet's files number the organs."""

    alphabetical = "alphabetical"
    btcv = "btcv"


# As many arguments as the command has options: typer reads them here, and only here.
def synapse(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(help="Folder RawData with NIfTI files, or TransUNet's folder of train_npz and test_vol_h5."),
    ],
    dataset_id: option_types.DatasetId = 104,
    name: option_types.Name = "Synapse",
    output: option_types.Output = None,
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
    jobs: option_types.Jobs = None,
    progress: option_types.Progress = True,
    dry_run: option_types.DryRun = False,
    skip_invalid: option_types.SkipInvalid = False,
    report: option_types.Report = None,
    split: option_types.SplitName = "five-fold",
) -> None:
    """Convert the abdominal CT of Synapse (BTCV), original or preprocessed by TransUNet.

    Images keep their values and their grid, and labels are brought onto it through physical space. Everything is
    checked before anything is written, and all problems are listed together. An interrupted run continues when it is
    started again.
    """
    from nnunet_mamba.data.converters.synapse_organs import implausible_sizes
    from nnunet_mamba.data.writing.dataset_folder import dataset_name, raw_dataset_folder

    converter: Any = context.obj or load_converter("Dataset104_Synapse")
    if images_only is not None and (organs != 8 or sigmoid or split != "five-fold"):
        raise typer.BadParameter(
            "--images-only prepares images; --organs, --sigmoid and --split are for labelled cases"
        )
    with errors_as_text():
        with errors_of_usage():
            dataset_name(dataset_id, name)
            options = converter.SynapseOptions(
                organs=organs,
                label_numbering=label_numbering.value if label_numbering else None,
                pixel_spacing=pixel_spacing,
                slice_thickness=slice_thickness,
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
        if images_only is not None:
            with unpacked_sources(source, target=images_only, progress=progress) as (source,):
                report_images(converter.prepare_synapse_images(source, images_only, options=options), dataset_id)
            return
        folder = raw_dataset_folder(dataset_id, name, output=output)
        with unpacked_sources(source, target=folder, progress=progress) as (source,):
            done = converter.convert_synapse(source, folder, options=options)
        report_dataset(
            done, dataset_id, "as in the source", configurations="2d 3d_fullres", trainer="nnUNetTrainerUMambaBot"
        )
        doubts = implausible_sizes(one.source.get("voxels", {}) for one in done.checked.values())
        if doubts:
            print(
                f"\nWarning: the numbers of the organs look wrong: over all cases, {'; '.join(doubts)}. "
                "Look at a case, and try another --label-numbering.",
                file=sys.stderr,
            )
