"""A trained model wherever it comes from: what is known of it, and its weights once they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nnunet_mamba.models.card import model_card
from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.models.planned_network import build_network

if TYPE_CHECKING:
    from torch import Tensor

    from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
    from nnunet_mamba.onnx_models.sidecar import OnnxFile


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that can predict.

    Args:
        description: what is known of it.
        weights: reads the weights of a fold by its name.
        place: of the model, for texts.
        stored_card: reads the model card; None makes one of the description.
        onnx: the networks of all folds in one file, which needs no torch; None for weights.
    """

    description: ModelDescription
    weights: "Callable[[str], dict[str, Tensor]]" = field(repr=False)
    place: str
    stored_card: Callable[[], str] | None = field(default=None, repr=False)
    onnx: "OnnxFile | None" = None

    @property
    def packages(self) -> tuple[str, ...]:
        """What computes its predictions besides this package, as it is installed."""
        return ("onnxruntime", "numpy") if self.onnx is not None else ("nnunetv2", "torch", "numpy")

    def card(self) -> str:
        """Return the model card, as Markdown.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no text.
        """
        return model_card(self.description) if self.stored_card is None else self.stored_card()

    def with_folds(self, folds: Sequence[int | str]) -> "Model":
        """Return the model with some of its folds.

        Args:
            folds: at least one of the description's, in the order in which they are to predict.

        Raises:
            ValueError: there is no such fold, or its file cannot leave out the others.
        """
        if self.onnx is not None and set(map(str, folds)) != set(self.description.fold_names):
            raise self.folds_are_inside()
        known = {fold.name: fold for fold in self.description.folds}
        for fold in folds:
            self._refuse_unknown(fold)
        kept = tuple(known[name] for name in dict.fromkeys(map(str, folds)))
        return replace(self, description=replace(self.description, folds=kept))

    def folds_are_inside(self) -> ValueError:
        """Return what to raise where folds of an ONNX file are named."""
        return ValueError(
            f"{self.place} averages what its folds say (fold {', '.join(self.description.fold_names)}) inside of the "
            "file; leave `folds` out, or export the folds that are wanted"
        )

    def fold_weights(self, fold: int | str) -> "dict[str, Tensor]":
        """Read the weights of a fold: finite numbers by their names in the network, on the CPU.

        Args:
            fold: one of the description's.

        Raises:
            OSError: they cannot be read.
            ValueError: there is no such fold, or its file is damaged, of another model, or would run code.
        """
        self._refuse_unknown(fold)
        return self.weights(str(fold))

    def build_network(self, fold: int | str) -> "SegmentationNetwork":
        """Return the network of a fold with its weights, for prediction: one output, in evaluation mode, on the CPU.

        Args:
            fold: one of the description's.

        Raises:
            OSError: the weights cannot be read.
            ValueError: see ``fold_weights``; or the weights do not fit the network, or only nnU-Net can build it.
            ModuleNotFoundError: the network needs an optional package that is not installed.
        """
        described = self.description.network
        if described is None:
            raise ValueError(
                f"{self.place} was trained by {self.description.trainer}, which is no trainer of nnunet-mamba, so only "
                "nnU-Net can build its network, as nnunet-mamba predict lets it do"
            )
        return build_network(described, self.fold_weights(fold), place=f"{self.place}, fold {fold}")

    def _refuse_unknown(self, fold: int | str) -> None:
        names = self.description.fold_names
        if str(fold) not in names:
            raise ValueError(f"{self.place} has no fold {fold}, but {', '.join(names)}; choose among them with `folds`")
