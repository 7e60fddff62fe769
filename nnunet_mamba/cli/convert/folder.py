"""``nnunet-mamba convert folder``."""

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
    dataset_id: option_types.DatasetId = 105,
    name: option_types.Name = "Folder",
    output: option_types.Output = None,
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
    """Convert your own images and masks: pictures (PNG, JPEG, TIFF, ...) or volumes (NIfTI, MHA, NRRD).

    Everything is checked before anything is written, and all problems are listed together. An interrupted run
    continues when it is started again.
    """
    from nnunet_mamba.data.formats.label_values import read_label_values
    from nnunet_mamba.data.formats.picture_sizes import parse_size
    from nnunet_mamba.data.sources.group_table import read_group_table
    from nnunet_mamba.data.writing.dataset_folder import dataset_name, raw_dataset_folder

    converter: Any = context.obj or load_converter("Dataset105_Folder")
    root = source or images
    if root is None or (source is not None and images is not None):
        raise typer.BadParameter("give either SOURCE, the folder of images and masks, or --images and --masks")
    if test_masks is not None and test_images is None:
        raise typer.BadParameter("--test-masks needs --test-images")
    of_training = (
        masks,
        mask_pattern,
        test_images,
        labels,
        threshold is not None,
        sigmoid,
        groups,
        join_masks is not None,
    )
    if images_only is not None and any(of_training):
        raise typer.BadParameter(
            "--images-only takes SOURCE or --images, --image-pattern, --channel-names, --size and the options of the "
            "run; nothing is trained"
        )
    if groups is None and (group_column is not None or allow_missing_groups):
        raise typer.BadParameter("--group-column and --allow-missing-groups need --groups")
    with errors_as_text():
        with errors_of_usage():
            dataset_name(dataset_id, name)
            pixels = parse_size(size)
            named_channels = _listed("--channel-names", channel_names, "R,G,B")
            named_labels = _listed("--label-names", label_names, "liver,spleen")
            run = run_options(
                jobs,
                progress=progress,
                dry_run=dry_run,
                skip_invalid=skip_invalid,
                report=report,
                split=split,
                sources=(root, masks, test_images, test_masks),
            )
            converter.refuse_threshold(threshold)
        options = converter.FolderOptions(
            labels=None if labels is None else read_label_values(labels),
            threshold=threshold,
            channel_names=named_channels,
            join_masks=join_masks,
            label_names=named_labels,
            allow_missing_labels=allow_missing_labels,
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

        def place(images: Path, masks: Path | None) -> Any:
            return converter.Source(images=images, masks=masks, image_pattern=image_pattern, mask_pattern=mask_pattern)

        if images_only is not None:
            with unpacked_sources(root, target=images_only, progress=progress) as (root,):
                done = converter.prepare_folder_images(place(root, None), images_only, options=options)
            report_images(done, dataset_id)
            return
        target = raw_dataset_folder(dataset_id, name, output=output)
        given = (root, masks, test_images, test_masks)
        with unpacked_sources(*given, target=target, progress=progress) as (root, masks, *tests):
            training = place(root, masks)
            test = None if tests[0] is None else training.for_test(*tests)
            done = converter.convert_folder(training, target, test=test, options=options)
        report_dataset(done, dataset_id, size)


def _listed(option: str, text: str | None, example: str) -> tuple[str, ...] | None:
    """Return the names in a list with commas, None if the option is not given."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"{option} {text!r}: expected different names with commas between, such as {example}")
    return names
