"""A teacher that is a model file, or comes with nnunet-mamba: no trainer of nnU-Net needs to know it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from nnunet_mamba.models.bundles.reading import is_bundle, read_bundle
from nnunet_mamba.models.shipped_models import find_shipped_model

if TYPE_CHECKING:
    from nnunet_mamba.models.model import Model


def teacher_bundle(named: str) -> Path | None:
    """Return the bundle that a text names; None if it names none.

    Args:
        named: name of a model that comes with nnunet-mamba, or path of a bundle.
    """
    if (shipped := find_shipped_model(named)) is not None:
        return shipped.folder
    path = Path(named)
    return path if path.exists() and is_bundle(path) else None


class BundledTeacher:
    """The teacher of a bundle.

    Args:
        bundle: a folder or a zip archive; nothing in it is run.
        fold: of the student, whose teacher is of the same fold where the bundle has it, and else of its first.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged or foreign.
    """

    def __init__(self, bundle: Path, fold: int | str) -> None:
        self._model: Model = read_bundle(bundle)
        names = self._model.description.fold_names
        self.fold = str(fold) if str(fold) in names else names[0]

    @property
    def dataset(self) -> str:
        """Name of the data set that it was trained with."""
        return self._model.description.data.dataset

    @property
    def dataset_json(self) -> Mapping[str, Any]:
        """Its labels and channels."""
        return self._model.description.dataset_json

    @property
    def form(self) -> tuple[int, int]:
        """Input channels, and axes of its patches."""
        network = self._model.description.network
        n_channels = len(self.dataset_json["channel_names"]) if network is None else network.input_channels
        return n_channels, len(self._model.description.patch_size)

    def network(self) -> nn.Module:
        """Return its network with its weights.

        Raises:
            OSError: the weights cannot be read.
            ValueError: they do not fit, or only nnU-Net can build the network.
        """
        return self._model.build_network(self.fold)
