"""What is known of a trained model apart from its weights: plain values, no torch."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnunet_mamba.data.formats.dataset_json import Labels, dataset_json_in

if TYPE_CHECKING:
    from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion

_logger = logging.getLogger(__name__)

NOT_STATED = "not stated"
KEEP_LARGEST_PART, FILL_HOLES = "keep_largest_part", "fill_holes"
POSTPROCESSING = (KEEP_LARGEST_PART, FILL_HOLES)


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """How to build the network.

    Args:
        preset: its name, see ``create_network``.
        arguments: all keyword arguments but ``spatial_dims``.
        input_channels: of the images.
        num_classes: channels of the logits.
        spatial_dims: axes of the images, 2 or 3.
        n_parameters: trainable ones; None where they have not been counted.
    """

    preset: str
    arguments: Mapping[str, Any]
    input_channels: int
    num_classes: int
    spatial_dims: int
    n_parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class FoldRecord:
    """One of the trainings whose weights are in the model.

    Args:
        name: "0", "1", … or "all".
        epochs: that it has trained; None if that is not known.
        best_ema_dice: nnU-Net's best moving average of the pseudo Dice; None if that is not known.
    """

    name: str
    epochs: int | None = None
    best_ema_dice: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What the model was trained with; None stands for what is not known.

    Args:
        dataset: name of nnU-Net's data set.
        splits: name of the split.
        splits_sha256: of splits_final.json.
        n_cases: training cases, validation included.
    """

    dataset: str
    splits: str | None = None
    splits_sha256: str | None = None
    n_cases: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """How the model was trained; None stands for what is not known.

    Args:
        trainer: as given to ``-tr``.
        epochs: of every fold; None if they differ.
        seed: of every fold; None if they differ, or had none.
        seconds: of all folds together, without validation at the end.
        device: kind of device, and the name of a GPU.
        versions: of software, by name.
    """

    trainer: str
    epochs: int | None = None
    seed: int | None = None
    seconds: float | None = None
    device: str | None = None
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well the model did.

    Args:
        data: on which images.
        protocol: how they were counted, such as "mean over cases" or "pooled pixels".
        metric: such as "Dice".
        value: of the metric.
        n: number of cases; None if it is not known.
        note: what else is to be known, such as "seen in training".
    """

    data: str
    protocol: str
    metric: str
    value: float
    n: int | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Licences:
    """Under which terms the parts of a model may be used: names or texts of licences.

    Args:
        code: of the software that runs it.
        weights: of the trained weights.
        data: of the images and masks that it was trained with.
    """

    code: str = NOT_STATED
    weights: str = NOT_STATED
    data: str = NOT_STATED


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """All that predicting, fine-tuning and citing need to know of a model.

    Args:
        name: letters, digits, dots and hyphens.
        network: None for a trainer that is not of nnunet-mamba, whose network only nnU-Net can build.
        trainer: class name, as given to ``-tr``.
        configuration: "2d", "3d_fullres", …
        plans: nnU-Net's plans with this one configuration, which inherits from none.
        dataset_json: what nnU-Net's dataset.json says of channels, labels and files.
        mirror_axes: spatial axes that may be mirrored in prediction.
        folds: at least one.
        postprocessing: what is done to label maps, of ``POSTPROCESSING``.
        conversion: how images are read and masks written; None if the data set's conversion is not known.
        data: what it was trained with.
        scores: how well it did.
        training: how it was trained.
        licences: of its parts.
    """

    name: str
    network: NetworkDescription | None
    trainer: str
    configuration: str
    plans: Mapping[str, Any]
    dataset_json: Mapping[str, Any]
    mirror_axes: tuple[int, ...]
    folds: tuple[FoldRecord, ...]
    postprocessing: tuple[str, ...] = ()
    conversion: "ImageConversion | None"
    data: TrainingData
    scores: tuple[Score, ...] = ()
    training: TrainingRecord
    licences: Licences

    @property
    def planned(self) -> Mapping[str, Any]:
        """The entries of the configuration."""
        entries: Mapping[str, Any] = self.plans["configurations"][self.configuration]
        return entries

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Pixels or voxels per axis."""
        return tuple(self.planned["patch_size"])

    @property
    def labels(self) -> Labels:
        """The labels or regions of the data set."""
        return dataset_json_in(self.dataset_json, place="dataset_json").labels

    @property
    def fold_names(self) -> tuple[str, ...]:
        """The names of the folds, in their order."""
        return tuple(fold.name for fold in self.folds)

    def image_conversion(self) -> "ImageConversion":
        """Return how images are read and masks written; without a known conversion, as nnU-Net has them.

        Raises:
            ValueError: without a known conversion, images of this kind are not read here.
        """
        if self.conversion is not None:
            return self.conversion
        from nnunet_mamba.data.unlabelled.conversion_of_dataset import image_conversion

        _logger.info(
            "%s does not tell how the images of %s were converted, so they are taken as they are, at their own size. "
            "If they were converted, let nnUNet_raw name the folder that holds %s",
            *(self.name, self.data.dataset, self.data.dataset),
        )
        return image_conversion(None, dataset_json_in(self.dataset_json, place="dataset_json"))
