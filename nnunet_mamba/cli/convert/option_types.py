"""The options that several conversions have, each with its one help text."""

from pathlib import Path
from typing import Annotated

import typer

# Options that every conversion has.
DatasetId = Annotated[int, typer.Option(help="nnU-Net's number of the data set, 1 to 999.")]
Name = Annotated[str, typer.Option(help="Name of the data set.")]
Output = Annotated[Path | None, typer.Option(help="Folder that gets Dataset<id>_<name>.", show_default="$nnUNet_raw")]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes; the result is the same.", show_default="one per core, at most 4"),
]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show progress bars.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, show what would happen, write nothing.")]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Leave cases with problems out instead of refusing all, and list them.")
]
Report = Annotated[
    Path | None, typer.Option(metavar="CSV", help="Write every problem into this table.", show_default=False)
]
SplitName = Annotated[
    str,
    typer.Option(
        "--split",
        help="Folds for training: five-fold (a patient or lesion on one side only; with fewer than five, each is held "
        "out once), or one of the papers' splits, see docs/explanation/splits.md.",
    ),
]

# Options of conversions of pictures.
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
AllowMissingMasks = Annotated[
    bool,
    typer.Option("--allow-missing-masks", help="Send images without a mask to imagesTs instead of refusing them."),
]
AllowMissingImages = Annotated[
    bool,
    typer.Option("--allow-missing-images", help="Leave out masks without an image instead of refusing them."),
]
AllowEmptyMasks = Annotated[
    bool, typer.Option("--allow-empty-masks", help="Accept masks without any foreground instead of refusing them.")
]
