"""``nnunet-mamba models export``: the weights of a model, for ``nnUNetv2_train -pretrained_weights``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.options.model_options import ModelSource, checked_source
from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.system.folder_lock import refuse_if_unwritable


def export(
    model: ModelSource,
    checkpoint: Annotated[Path, typer.Option(help="File to write, such as weights.pth.", show_default=False)],
    fold: Annotated[str | None, typer.Option(help="Fold to take.", show_default="the model's first")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing CHECKPOINT.")] = False,
) -> None:
    """Write a checkpoint with which a training can begin, and print its name.

    In one line: nnUNetv2_train ... -pretrained_weights "$(nnunet-mamba models export NAME --checkpoint weights.pth)".
    """
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        if checkpoint.is_dir():
            raise IsADirectoryError(f"{checkpoint} is a folder, expected a file such as {checkpoint / 'weights.pth'}")
        if checkpoint.exists() and not overwrite:
            raise FileExistsError(f"{checkpoint} exists; choose another name, or pass --overwrite")
        refuse_if_unwritable(
            checkpoint.parent, way_out="make room, get the right to write there, or choose another --checkpoint"
        )
        from nnunet_mamba.models.nnunet.results_writing import write_pretrained_checkpoint
        from nnunet_mamba.models.opening import open_model

        opened = open_model(checked_source(model))
        names = opened.description.fold_names
        if fold is None and len(names) > 1:
            print(f"Fold {names[0]} of {', '.join(names)}; choose another one with --fold.", file=sys.stderr)
        write_pretrained_checkpoint(opened, names[0] if fold is None else fold, checkpoint)
    print(f"For nnUNetv2_train -tr {opened.description.trainer} -pretrained_weights {checkpoint}", file=sys.stderr)
    print(checkpoint)
