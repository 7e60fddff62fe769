"""A trained model as a function of images, kept in memory: ``Predictor.from_model(FILE).predict(photograph)``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.prediction.array_images import ArrayImage, image_of_array
from nnunet_mamba.prediction.engine import Engine, PreparedImage
from nnunet_mamba.prediction.label_maps import LabelMap
from nnunet_mamba.prediction.plan import PredictionPlan, read_prediction_plan
from nnunet_mamba.prediction.preprocessing import FloatArray, UnsuitableImageError
from nnunet_mamba.prediction.stream import Stream
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.system.optional_packages import require_packages

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]


class Predictor:
    """Predicts images with a trained model that stays in memory, as nnU-Net would.

    It may be called from any threads: images are prepared side by side, and the network runs for one call at a time.

    Args:
        model: that predicts; the logits of its folds are averaged.
        device: "cpu", "cuda", "cuda:1", "mps" …; None takes a GPU if there is one. ONNX files are for the CPU.
        mirroring: average over mirrored copies too, along the axes that were mirrored in training.
        postprocessing: do to label maps what the model says; probabilities stay as they are.

    Raises:
        ValueError: its weights are damaged or do not fit its network, or it is made for something else.
        ModuleNotFoundError: its network needs a package that is not installed.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: "str | torch.device | None" = None,
        mirroring: bool = True,
        postprocessing: bool = True,
    ) -> None:
        self.model = model
        self.is_mirroring = mirroring and bool(model.description.mirror_axes)
        description = model.description
        self.postprocessing = description.postprocessing if postprocessing else ()
        plan = read_prediction_plan(
            description.plans, description.configuration, description.dataset_json, where=description.name
        )
        make = _in_torch if model.onnx is None else _in_onnxruntime
        self.weights_digest, self.engine = make(
            model, plan, device=device, mirroring=mirroring, postprocessing=self.postprocessing
        )

    @classmethod
    def from_model(cls, model: str | Path, *, folds: Sequence[int | str] | None = None, **options: Any) -> "Predictor":
        """Return the predictor of a model that is shared as a file, or comes with this package.

        Args:
            model: name of a model that comes with this package, or path of a model file or folder, or of an ONNX file.
            folds: of the model, each a number or "all"; None takes all.
            options: ``device``, ``mirroring`` and ``postprocessing``, see the class.

        Raises:
            FileNotFoundError: there is no such model.
            ValueError: it is damaged, or no model, or has no such fold.
        """
        return cls(open_model(model, folds=folds), **options)

    @classmethod
    def from_results(
        cls,
        folder: str | Path,
        *,
        folds: Sequence[int | str] | None = None,
        checkpoint_name: str = FINAL,
        **options: Any,
    ) -> "Predictor":
        """Return the predictor of what nnU-Net has trained.

        Args:
            folder: ``$nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION``.
            folds: each a number or "all"; None takes all numbered ones that have the checkpoint, or else "all".
            checkpoint_name: of the file in each fold.
            options: ``device`` and ``mirroring``, see the class.

        Raises:
            FileNotFoundError: there is no such folder, or no fold has the checkpoint.
            ValueError: a file in it is damaged.
        """
        return cls(open_model(Path(folder), folds=folds, checkpoint_name=checkpoint_name), **options)

    def predict(
        self, images: Array | Sequence[Array], *, spacing: Sequence[float] | None = None
    ) -> LabelMap | list[LabelMap]:
        """Return the label map of an image, or those of several images of any sizes.

        Args:
            images: a photograph, (h, w, 3) uint8, which is resized as the training images were; or channels as nnU-Net
                reads them, (c, z, y, x); or a list of such.
            spacing: mm, (z, y, x), of channels; None takes the model's own.

        Returns:
            (h, w) or (z, y, x) each, of the image's size: labels from 0, uint8 (uint16 for 255 labels and more).

        Raises:
            UnsuitableImageError: the model cannot take an image; tells which of several.
        """
        if not isinstance(images, (list, tuple)):
            return self._one(images, spacing, with_probabilities=False)[0]
        return [label for label, _ in self._several(images, spacing, with_probabilities=False)]

    def predict_probabilities(
        self, images: Array | Sequence[Array], *, spacing: Sequence[float] | None = None
    ) -> FloatArray | list[FloatArray]:
        """Return the probability of every label, or region, in every pixel.

        Args:
            images: see ``predict``.
            spacing: see ``predict``.

        Returns:
            (n, h, w) or (n, z, y, x) each, float32; of labels the background comes first.

        Raises:
            UnsuitableImageError: the model cannot take an image; tells which of several.
        """
        if not isinstance(images, (list, tuple)):
            return self._one(images, spacing, with_probabilities=True)[1]
        return [found for _, found in self._several(images, spacing, with_probabilities=True)]

    def _one(
        self, image: Any, spacing: Sequence[float] | None, *, with_probabilities: bool
    ) -> tuple[LabelMap, FloatArray]:
        taken = self._taken(image, spacing)
        found = self.engine.segment([self._prepared(taken)], with_probabilities=with_probabilities)[0]
        return taken.back(*self.engine.bring_back(found, with_probabilities=with_probabilities))

    def _several(
        self, images: Sequence[Array], spacing: Sequence[float] | None, *, with_probabilities: bool
    ) -> list[tuple[LabelMap, FloatArray]]:
        taken = [self._taken(image, spacing, number) for number, image in enumerate(images)]
        stream: Stream[ArrayImage, ArrayImage, tuple[LabelMap, FloatArray]] = Stream(
            self.engine,
            load=lambda image: (self._prepared(image), image),
            save=lambda image, _, label, probabilities: image.back(label, probabilities),
            with_probabilities=with_probabilities,
            in_threads=self.engine.leaves_cores_idle,
        )
        found = []
        for outcome in stream.outcomes(taken):
            if isinstance(outcome.error, ValueError):
                raise UnsuitableImageError(f"image {outcome.item.number}: {outcome.error}") from outcome.error
            if outcome.error is not None:
                raise MemoryError(f"image {outcome.item.number}: {outcome.error}") from outcome.error
            assert outcome.result is not None
            found.append(outcome.result)
        return found

    def _taken(self, image: Array, spacing: Sequence[float] | None, number: int = 0) -> ArrayImage:
        return image_of_array(image, self.engine.plan, size=self._size(), spacing=spacing, number=number)

    def _size(self) -> Shape | None:
        """Return the size to which photographs are resized; None where the model does not tell, or kept their own."""
        conversion = self.model.description.conversion
        return None if conversion is None else conversion.size

    def _prepared(self, image: ArrayImage) -> PreparedImage:
        return self.engine.prepare(image.channels(), image.spacing)


def _in_torch(
    model: Model,
    plan: PredictionPlan,
    *,
    device: "str | torch.device | None",
    mirroring: bool,
    postprocessing: Sequence[str],
) -> tuple[str, Engine]:
    """Return the digest of a model's weights, and its engine in torch."""
    # Not at the top: a model in an ONNX file needs no torch.
    require_packages(
        ["torch", "nnunetv2"],
        what="the weights of a model",
        install="nnunet-mamba, or predict with an ONNX file of nnunet-mamba export",
    )
    from nnunet_mamba.prediction.devices import chosen_device
    from nnunet_mamba.prediction.networks import trained_networks
    from nnunet_mamba.prediction.run_record import digest_of_weights
    from nnunet_mamba.prediction.torch_engine import torch_engine

    description = model.description
    networks = trained_networks(model)
    digest = digest_of_weights(network.state_dict() for network in networks)
    engine = torch_engine(
        plan,
        networks,
        mirror_axes=description.mirror_axes if mirroring else (),
        device=chosen_device(device),
        plans=description.plans,
        dataset_json=description.dataset_json,
        postprocessing=postprocessing,
    )
    return digest, engine


def _in_onnxruntime(
    model: Model,
    plan: PredictionPlan,
    *,
    device: "str | torch.device | None",
    mirroring: bool,
    postprocessing: Sequence[str],
) -> tuple[str, Engine]:
    """Return the digest of an ONNX file, and its engine."""
    from nnunet_mamba.prediction.onnx_engine import OnnxEngine

    assert model.onnx is not None
    if device is not None and str(device) != "cpu":
        raise ValueError(f"`device` {device}: {model.place} is predicted on the CPU, expected cpu; leave it out")
    mirror_axes = model.description.mirror_axes if mirroring else ()
    engine = OnnxEngine(model.onnx, plan, mirror_axes=mirror_axes, postprocessing=postprocessing)
    return model.onnx.sidecar.sha256, engine
