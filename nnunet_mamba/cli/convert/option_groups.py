"""The options that several conversions share, each with its one help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.options.option_types import Jobs, ProgressBars

if TYPE_CHECKING:
    from nnunet_mamba.data.sources.group_table import GroupTable
    from nnunet_mamba.data.writing.run_options import RunOptions

PhotographSize = Annotated[
    str,
    typer.Option(
        help="Resize whole images and masks to 256 (256x256, as in the papers), HEIGHTxWIDTH, or keep 'original'."
    ),
]
SkinSigmoid = Annotated[
    bool,
    typer.Option(
        "--sigmoid", help="One sigmoid output trained with BCE + Dice (the skin papers' loss) instead of softmax."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which raw data set a conversion makes, and where."""

    dataset_id: Annotated[int, typer.Option(help="nnU-Net's number of the data set, 1 to 999.")]
    name: Annotated[str, typer.Option(help="Name of the data set.")]
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder that gets Dataset<id>_<name>.", show_default="$nnUNet_raw"),
    ] = None

    def refuse_wrong_name(self) -> None:
        """Raise a ValueError if nnU-Net could not take the number or the name."""
        from nnunet_mamba.data.writing.dataset_folder import dataset_name

        dataset_name(self.dataset_id, self.name)

    def folder(self) -> Path:
        """Return the folder of the data set; nothing is created."""
        from nnunet_mamba.data.writing.dataset_folder import raw_dataset_folder

        return raw_dataset_folder(self.dataset_id, self.name, output=self.output)


@dataclass(frozen=True, kw_only=True)
class Leniency:
    """What a conversion of pairs of images and masks accepts instead of refusing it, named as the converters do."""

    allow_missing_masks: Annotated[
        bool,
        typer.Option("--allow-missing-masks", help="Send images without a mask to imagesTs instead of refusing them."),
    ] = False
    allow_missing_images: Annotated[
        bool,
        typer.Option("--allow-missing-images", help="Leave out masks without an image instead of refusing them."),
    ] = False
    allow_empty_masks: Annotated[
        bool, typer.Option("--allow-empty-masks", help="Accept masks without any foreground instead of refusing them.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which images show one patient or lesion, where their file names do not tell it."""

    groups: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of which images show one patient or lesion, which a split then keeps on one side. Images are "
            "in column isic_id, image_id, image_name, image or case, groups in patient_id, lesion_id or group.",
            show_default=False,
        ),
    ] = None
    group_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The only column of --groups that counts, by its heading.",
            show_default="patient_id and lesion_id, or group",
        ),
    ] = None
    allow_missing_groups: Annotated[
        bool,
        typer.Option("--allow-missing-groups", help="Make images without a row in --groups groups of their own."),
    ] = False

    def refuse_options_without_table(self) -> None:
        """End the command if options of a table are given without one."""
        if self.groups is None and (self.group_column is not None or self.allow_missing_groups):
            raise typer.BadParameter("--group-column and --allow-missing-groups need --groups")

    def table(self) -> "GroupTable | None":
        """Read the table, if there is one.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        if self.groups is None:
            return None
        from nnunet_mamba.data.sources.group_table import read_group_table

        return read_group_table(self.groups, group_column=self.group_column, allow_missing=self.allow_missing_groups)


@dataclass(frozen=True, kw_only=True)
class ConversionRun:
    """How a conversion runs."""

    jobs: Jobs = None
    progress: ProgressBars = True
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show what would happen, write nothing.")
    ] = False
    skip_invalid: Annotated[
        bool,
        typer.Option("--skip-invalid", help="Leave cases with problems out instead of refusing all, and list them."),
    ] = False
    report: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write every problem into this table.", show_default=False)
    ] = None
    split: Annotated[
        str,
        typer.Option(
            "--split",
            help="Folds for training: five-fold (a patient or lesion on one side only; with fewer than five, each is "
            "held out once), challenge (ISIC's validation part validates), or one of the papers' splits, see "
            "docs/explanation/splits.md.",
        ),
    ] = "five-fold"

    @property
    def has_default_split(self) -> bool:
        """Whether nothing was said about the split."""
        return self.split == ConversionRun.split

    def options(self, *sources: Path | None) -> "RunOptions":
        """Return these options as the converters take them.

        Args:
            sources: what the user named, None for what was not given.

        Raises:
            ValueError: an unknown split.
        """
        from nnunet_mamba.data.splits.case_splits import SPLIT_NAMES
        from nnunet_mamba.data.writing.run_options import RunOptions
        from nnunet_mamba.system.parallel import default_jobs

        if self.split not in SPLIT_NAMES:
            raise ValueError(f"--split {self.split}: expected one of {', '.join(SPLIT_NAMES)}")
        return RunOptions(
            jobs=self.jobs or default_jobs(),
            progress=self.progress,
            dry_run=self.dry_run,
            skip_invalid=self.skip_invalid,
            report=self.report,
            split=self.split,
            sources=tuple(source for source in sources if source is not None),
            wording=with_option_names,
        )


def refuse_masks_without_images(part: str, images: Path | None, masks: Path | None) -> None:
    """End the command if masks of a part of the data are given, and no images.

    Args:
        part: as its two options have it.
        images: of the part.
        masks: of the part.
    """
    if masks is not None and images is None:
        raise typer.BadParameter(f"--{part}-masks needs --{part}-images")
