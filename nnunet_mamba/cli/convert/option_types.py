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

# Options of conversions whose file names do not tell the patient.
Groups = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Table of which images show one patient or lesion, which a split then keeps on one side. Images are in "
        "column isic_id, image_id, image_name, image or case, groups in patient_id, lesion_id or group.",
        show_default=False,
    ),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The only column of --groups that counts, by its heading.",
        show_default="patient_id and lesion_id, or group",
    ),
]
AllowMissingGroups = Annotated[
    bool,
    typer.Option("--allow-missing-groups", help="Make images without a row in --groups groups of their own."),
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
