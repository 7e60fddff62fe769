"""Take a shared model into nnU-Net's results, or all models in an archive of nnU-Net's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.models.bundles.archive_files import files_in
from nnunet_mamba.models.bundles.reading import holds_bundle
from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.nnunet.archives import unpacked_models
from nnunet_mamba.models.nnunet.results_reading import read_results
from nnunet_mamba.models.nnunet.results_writing import results_path, unpack_to_results
from nnunet_mamba.models.opening import model_path, open_model


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model that nnU-Net's commands know now.

    Args:
        folder: of the model.
        dataset: name of the data set's folder.
        description: what is known of it.
    """

    folder: Path
    dataset: str
    description: ModelDescription


def import_models(source: str | Path, results_root: Path, *, dataset: str | None = None) -> list[ImportedModel]:
    """Write the models of a file or folder into nnU-Net's results.

    Args:
        source: see ``open_model``; an archive of nnUNetv2_export_model_to_zip may hold several models.
        results_root: ``$nnUNet_results``.
        dataset: name of the data set's folder; None keeps the models' own.

    Raises:
        FileNotFoundError: there is no such model, or a part of it is missing.
        FileExistsError: there is one already, or nnU-Net knows another data set of its number; nothing is written.
        OSError: a file cannot be read or written.
        ValueError: something is wrong with the model.
    """
    with _models(source) as models:
        for model in models:
            results_path(model, results_root, dataset=dataset)
        folders = [unpack_to_results(model, results_root, dataset=dataset) for model in models]
        return [
            ImportedModel(folder=folder, dataset=folder.parent.name, description=model.description)
            for folder, model in zip(folders, models, strict=True)
        ]


@contextmanager
def _models(source: str | Path) -> Iterator[Sequence[Model]]:
    """Give the models of a file or folder, whose files are there while the block runs."""
    path = model_path(source)
    if path.is_dir() or path.suffix == ".pth" or holds_bundle(files_in(path)):
        yield [open_model(source)]
        return
    with unpacked_models(path) as folders:
        yield [read_results(folder) for folder in folders]
