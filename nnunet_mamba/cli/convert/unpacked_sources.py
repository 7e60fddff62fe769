"""Conversions of folders, or of zip archives that are unpacked while they run."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_mamba.data.writing.raw_dataset import Conversion


def convert_unpacked(
    convert: Callable[..., "Conversion"], sources: Mapping[str, Path | None], folder: Path, *, progress: bool
) -> "Conversion":
    """Convert sources with the zip archives among them unpacked beside the target.

    Args:
        convert: takes the folders of the sources by their names, and the target as ``folder``.
        sources: folders, zip archives, or None for what was not given.
        folder: target of the conversion.
        progress: show it while an archive is unpacked.
    """
    from nnunet_mamba.data.sources.archives import unpacked

    with ExitStack() as stack:
        folders = {
            name: None
            if source is None
            else stack.enter_context(unpacked(source, beside=folder.parent, progress=progress))
            for name, source in sources.items()
        }
        return convert(**folders, folder=folder)
