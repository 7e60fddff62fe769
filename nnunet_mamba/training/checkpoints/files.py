"""Checkpoints that survive: written whole, one spare kept, damage noticed."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError, check_whole, read_checkpoint
from nnunet_mamba.results.checkpoints import LATEST, SPARE
from nnunet_mamba.system.atomic import replacing

# When the disk is full, torch.save raises an error that names one of these C++ parts.
_PARTS_OF_TORCH_SAVE = ("inline_container", "iostream", "PytorchStreamWriter")


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; the one before is untouched."""


def write_checkpoint(path: Path, write: Callable[[str], None], *, keeps_spare: bool) -> None:
    """Write a checkpoint whole, and keep the latest one before it as a spare.

    Args:
        path: the file to create or replace.
        write: saves the checkpoint under the name that it is given.
        keeps_spare: whether the latest one before it is of the same training. If not, the spare is of another training
            too, and is deleted once this checkpoint is written.

    Raises:
        CheckpointWriteError: the disk is full or cannot be written to; ``path`` is what it was.
    """
    try:
        with replacing(path) as temporary:
            write(str(temporary))
            _flush_to_disk(temporary)
            if path.name == LATEST and keeps_spare:
                _keep_spare(path)
        if not keeps_spare:
            path.with_name(SPARE).unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointWriteError(f"{path} could not be written ({error.strerror or error})") from error
    except RuntimeError as error:
        if not any(part in str(error) for part in _PARTS_OF_TORCH_SAVE):
            raise
        free = shutil.disk_usage(path.parent).free / 2**20
        raise CheckpointWriteError(
            f"{path} could not be written ({free:.0f} MiB are free on its disk; a quota may allow less)"
        ) from error


def newest_whole_checkpoint(path: Path) -> tuple[Path, dict[str, str]]:
    """Return a checkpoint, or, if its file is damaged, the whole one beside it that has come furthest.

    Args:
        path: the file that is wanted.

    Returns:
        The file to load, and why others cannot be loaded, by name; empty if the file is ``path``.

    Raises:
        FileNotFoundError: there is no ``path``.
        CodeInCheckpointError: ``path`` asks for more than nnU-Net's checkpoints hold; that is no damage, so nothing
            is taken in its place.
        RuntimeError: no whole checkpoint is left.
    """
    damaged: dict[str, str] = {}
    if _epoch(path, damaged) is not None:
        return path, {}
    others = [other for other in sorted(path.parent.glob("checkpoint_*.pth")) if other != path]
    epochs = {}
    for other in others:
        with suppress(FileNotFoundError, CodeInCheckpointError):
            if (epoch := _epoch(other, damaged)) is not None:
                epochs[other] = epoch
    if not epochs:
        files = "; ".join(f"{name}: it {reason}" for name, reason in damaged.items())
        raise RuntimeError(
            f"no checkpoint in {path.parent} can be read ({files}); delete them and start again without --c"
        )
    return max(epochs, key=epochs.__getitem__), damaged


def epoch_of_whole(path: Path) -> int | None:
    """Return the epoch with which a checkpoint goes on, None if its file is damaged or missing."""
    return _epoch(path, {}) if path.is_file() else None


def _epoch(path: Path, damaged: dict[str, str]) -> int | None:
    """Return the epoch with which a checkpoint goes on, None and a reason if the file is damaged."""
    try:
        check_whole(path)
        return int(read_checkpoint(path, entries=("current_epoch",))["current_epoch"])
    except CodeInCheckpointError:
        raise
    except ValueError as error:
        damaged[path.name] = str(error).removeprefix(f"{path} ")
    return None


def _keep_spare(path: Path) -> None:
    """Give the checkpoint at ``path`` a second name; the old spare stays until the new one is there."""
    if not path.is_file():
        return
    second = path.with_name(f".partial-{os.getpid()}-{SPARE}")
    with suppress(FileNotFoundError):
        second.unlink()
    try:
        os.link(path, second)
    except OSError:
        # Some network file systems and memory sticks have no links.
        shutil.copyfile(path, second)
    second.replace(path.with_name(SPARE))


def _flush_to_disk(path: Path) -> None:
    """Wait until a file is on the disk: a rename may otherwise outlive the content in a power failure."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
