"""Zip archives of ``nnUNetv2_export_model_to_zip``, read without running what is in their checkpoints."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nnunet_mamba.data.sources.archives import unpacked
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.nnunet.results_reading import read_results
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.trained_model import is_results_folder


def read_archive(path: Path, *, folds: Sequence[int | str] | None = None, checkpoint_name: str = FINAL) -> Model:
    """Read the only model in an archive, its weights included.

    Args:
        path: of the archive.
        folds: see ``read_results``.
        checkpoint_name: see ``read_results``.

    Raises:
        FileNotFoundError: a file of the model is missing.
        OSError: the archive cannot be read or unpacked.
        ValueError: it holds no model or several, or is damaged or harmful.
    """
    with unpacked_models(path) as folders:
        if len(folders) > 1:
            names = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
            raise ValueError(
                f"{path} holds {len(folders)} models, {names}; take all of them into nnU-Net's results with "
                "nnunet-mamba models import, and give the folder of one"
            )
        return in_memory(read_results(folders[0], folds=folds, checkpoint_name=checkpoint_name), place=str(path))


@contextmanager
def unpacked_models(path: Path) -> Iterator[list[Path]]:
    """Give the folders of the models in an archive while the block runs, sorted.

    Args:
        path: of the archive.

    Raises:
        OSError: the archive cannot be read or unpacked.
        ValueError: it holds no model, or is damaged or harmful.
    """
    with tempfile.TemporaryDirectory() as place, unpacked(path, beside=Path(place)) as content:
        folders = sorted(folder for folder in (content, *content.rglob("*")) if is_results_folder(folder))
        if not folders:
            raise ValueError(
                f"{path} holds no model, neither a bundle nor nnU-Net's results; give a file that nnunet-mamba "
                "pack-model or nnUNetv2_export_model_to_zip has written"
            )
        yield folders


def in_memory(model: Model, *, place: str) -> Model:
    """Return a model whose weights have been read, so that its files may go.

    Args:
        model: whose files are there.
        place: what to call the model in texts.
    """
    weights = {fold: model.fold_weights(fold) for fold in model.description.fold_names}
    return replace(model, weights=lambda fold: dict(weights[fold]), place=place)
