"""``nnunet-mamba pack-model``: a trained model as one small file to share."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.model_options import CheckpointName, Folds, parse_folds
from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.system.folder_lock import refuse_if_unwritable

if TYPE_CHECKING:
    from nnunet_mamba.models.description import Score

_NOT_STATED = "not stated"


def pack_model(
    results_folder: Annotated[
        Path, typer.Argument(help="Folder TRAINER__PLANS__CONFIGURATION of nnU-Net's results.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="FILE.zip, or a folder to make.", show_default=False)],
    folds: Folds = None,
    checkpoint_name: CheckpointName = "checkpoint_final.pth",
    name: Annotated[str | None, typer.Option(help="Name of the model.", show_default="of trainer and data set")] = None,
    licence_code: Annotated[str, typer.Option(metavar="TEXT", help="Of the software.")] = "Apache-2.0",
    licence_weights: Annotated[str, typer.Option(metavar="TEXT", help="Of the weights.")] = _NOT_STATED,
    licence_data: Annotated[str, typer.Option(metavar="TEXT", help="Of images and masks.")] = _NOT_STATED,
    scores: Annotated[
        Path | None,
        typer.Option(help="JSON list of objects with data, protocol, metric, value, n and note.", show_default=False),
    ] = None,
    postprocessing: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS",
            help="What predict does to label maps: keep_largest_part, fill_holes, or both with a comma between.",
            show_default=False,
        ),
    ] = None,
    card_text: Annotated[
        Path | None,
        typer.Option(help="Markdown for the card, its headings such as '## Limits'.", show_default=False),
    ] = None,
    trained_here: Annotated[
        bool,
        typer.Option("--trained-here", help="The software of this installation has trained it: tell its versions."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing archive.")] = False,
) -> None:
    """Pack a trained model into one file: weights without code, what predicting needs, and a model card.

    How the training images were converted and the hash of the splits are taken from nnU-Net's folders, where they are
    there. No names of cases, people, machines or folders get into the file.
    """
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.models import packing
        from nnunet_mamba.models.description import Licences
        from nnunet_mamba.models.nnunet.training_records import installed_versions

        refuse_if_unwritable(output.parent)
        statements = packing.AuthorStatements(
            name=name,
            licences=Licences(code=licence_code, weights=licence_weights, data=licence_data),
            scores=() if scores is None else _scores(scores),
            postprocessing=_steps(postprocessing),
            versions=installed_versions() if trained_here else {},
            card_text="" if card_text is None else _text(card_text),
        )
        written = packing.pack_model(
            results_folder,
            output,
            folds=parse_folds(folds),
            checkpoint_name=checkpoint_name,
            statements=statements,
            overwrite=overwrite,
        )
    for what, text in (("--licence-weights", licence_weights), ("--licence-data", licence_data)):
        if text == _NOT_STATED:
            print(
                f"Say under which terms others may use it with {what}; the card says that it is not stated.",
                file=sys.stderr,
            )
    print(written)


def _steps(text: str | None) -> tuple[str, ...]:
    from nnunet_mamba.models.description import POSTPROCESSING

    steps = tuple(step.strip() for step in (text or "").split(",") if step.strip())
    if unknown := [step for step in steps if step not in POSTPROCESSING]:
        raise ValueError(f"--postprocessing {text!r}: {unknown[0]!r} is none of {', '.join(POSTPROCESSING)}")
    return steps


def _scores(file: Path) -> "tuple[Score, ...]":
    from nnunet_mamba.models.bundles.model_json import scores_from
    from nnunet_mamba.system.checked_entries import Entry
    from nnunet_mamba.system.json_files import read_json_file

    return scores_from(Entry(read_json_file(file, any_encoding=True), str(file), "correct it, or leave --scores out"))


def _text(file: Path) -> str:
    from nnunet_mamba.system.text_files import read_text

    try:
        return read_text(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
