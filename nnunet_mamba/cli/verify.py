"""``nnunet-mamba verify``: whether exported files still compute what their networks did, without torch."""

from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.error_texts import errors_as_text


def verify(
    files: Annotated[list[Path], typer.Argument(help="ONNX files, each with its .json beside it.", show_default=False)],
) -> None:
    """Compare files of nnunet-mamba export with what stands beside them: hash, facts and logits of check images.

    Needs onnxruntime and neither torch nor nnU-Net. Prints a line for each file; exits with 1 if one fails.
    """
    has_failed = False
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.onnx_models.verification import verify_onnx

        for file in files:
            try:
                print(f"ok      {file}: {verify_onnx(file).worst.in_words()}")
            except (OSError, ValueError) as error:
                has_failed = True
                print(f"failed  {file}: {with_option_names(' '.join(str(error).split()))}")
    if has_failed:
        raise typer.Exit(1)
