"""The file of ``-pretrained_weights``: nnU-Net runs any code that is in it, and tells no trainer about it."""

import shlex
import sys
from pathlib import Path

from nnunet_mamba.models.bundles.reading import is_bundle
from nnunet_mamba.models.nnunet.checkpoint_reading import read_checkpoint
from nnunet_mamba.models.shipped_models import find_shipped_model

_NNUNET_FUNCTION, _NNUNET_NAME = "maybe_load_checkpoint", "pretrained_weights_file"


def refuse_unsafe_pretrained_weights() -> None:
    """Refuse pretrained weights that could run code, before nnU-Net loads them into the trainer.

    Call this from the trainer's ``initialize``. Only the function of nnU-Net that calls ``initialize`` knows the file,
    so this function looks for it on the call stack.

    Raises:
        FileNotFoundError: there is no such file.
        CodeInCheckpointError: it asks for more than tensors and plain values.
        ValueError: it is no checkpoint with network weights; or a model, whose weights can be had as one.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_name != _NNUNET_FUNCTION:
        if frame.f_back is None:
            return
        frame = frame.f_back
    if (file := frame.f_locals.get(_NNUNET_NAME)) is None:
        return
    path = Path(file)
    if is_bundle(path) or (not path.exists() and find_shipped_model(str(file)) is not None):
        raise ValueError(
            f"-pretrained_weights {file}: nnU-Net takes checkpoints only, and this is a model; write its weights into "
            f"one first: nnunet-mamba models export {shlex.quote(str(file))} --checkpoint weights.pth"
        )
    if not path.exists():
        raise FileNotFoundError(f"-pretrained_weights {file}: there is no such file")
    try:
        read_checkpoint(path, entries=("network_weights",))
    except ValueError as error:
        raise type(error)(f"-pretrained_weights: {error}") from error
