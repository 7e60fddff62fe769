"""Checkpoints of nnU-Net, read without running what is in them, and their entries checked."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunet_mamba.models.nnunet.checkpoint_entries import problem_of_entries
from nnunet_mamba.networks.torch_files import CodeInFileError, DamagedFileError, read_torch_file, verify_checksums

# What nnU-Net writes and needs again to continue a training.
RESUMED = ("network_weights", "optimizer_state", "logging", "_best_ema", "current_epoch", "init_args")


class CodeInCheckpointError(ValueError):
    """A checkpoint asks for more than tensors and plain values; reading that could run code."""


def read_checkpoint(path: Path, *, entries: Collection[str] = (), ignored: Collection[str] = ()) -> dict[str, Any]:
    """Return what is in a checkpoint, its tensors on the CPU.

    Args:
        path: of a file that nnU-Net, or something like it, has written.
        entries: names that it must have.
        ignored: names of entries that are neither returned nor looked at, because they are large and not needed.

    Raises:
        FileNotFoundError: there is no such file.
        CodeInCheckpointError: it asks for more than tensors, plain values and numpy's numbers; names the classes.
        ValueError: the file is damaged, holds something else, lacks an entry, or an entry has no sensible value.
    """
    with _refusal_told(path):
        stored = read_torch_file(path)
    if not isinstance(stored, dict):
        raise ValueError(f"{path} is not a checkpoint of nnU-Net: it holds a {type(stored).__name__}")
    if missing := [name for name in entries if name not in stored]:
        raise ValueError(
            f"{path} is not a checkpoint of nnU-Net: it has no entry {' and no '.join(map(repr, missing))}"
        )
    stored = {name: value for name, value in stored.items() if name not in ignored}
    if (problem := problem_of_entries(stored)) is not None:
        raise ValueError(f"{path} {problem}")
    return stored


def check_whole(path: Path) -> None:
    """Compare a checkpoint with the checksums that torch.save writes and torch.load ignores.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    with _refusal_told(path):
        verify_checksums(path)


@contextmanager
def _refusal_told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error})") from error
    except CodeInFileError as asked:
        raise CodeInCheckpointError(
            f"{path} asks for {asked}, which nnU-Net's checkpoints do not hold. Reading it could run code that "
            "is hidden in the file, so it is not read. Take a checkpoint as nnU-Net wrote it. If you trust where "
            "this one comes from, load it yourself with torch.load(…, weights_only=False), take out what is of "
            "that class, and torch.save the rest"
        ) from None
    except DamagedFileError as error:
        raise ValueError(f"{path} cannot be read; is the file whole? ({error})") from error
