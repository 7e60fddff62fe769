"""First weights for a segmentation network: its encoder learns to classify images.

VM-UNet's paper begins with a classification network's weights, which its Table III finds to be worth 1.65 points of
DSC. Whoever has images with classes and no such weights makes them here.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnunet_mamba.classification.classifier_files import BEST_FILE, read_classifier_file
from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.settings import ClassifierSettings
from nnunet_mamba.classification.training import ClassifierTraining, OtherTrainingError, train_classifier
from nnunet_mamba.networks.published_files import Import, import_weights
from nnunet_mamba.networks.torch_files import write_torch_file
from nnunet_mamba.networks.upstream_weights import published_name

# The segmentation network, and what makes its encoder of the classification network ENCODER.
ENCODER = "vm_unet_encoder"
ENCODERS: dict[str, dict[str, Any]] = {"vm_unet": {}, "vm_unet_no_mamba": {"scan": False}}
# The encoder's weights by the names of VMamba's classification network.
WEIGHTS_FILE = "vmamba.pth"


@dataclass(frozen=True, kw_only=True)
class PretrainedEncoder:
    """What was trained, and what of it is in the checkpoint.

    Args:
        training: of the classification network.
        imported: which weights of the segmentation network come from it.
    """

    training: ClassifierTraining
    imported: Import


def pretraining_settings(network: str, **changes: Any) -> ClassifierSettings:
    """Return how an encoder is trained: images are normalised as nnU-Net does it.

    Args:
        network: that the encoder is of.
        changes: to ``ClassifierSettings``.

    Raises:
        ValueError: there is no encoder of that network to train, or a value does not fit.
    """
    if network not in ENCODERS:
        raise ValueError(
            f"network={network!r}, expected one of {', '.join(ENCODERS)}, whose encoders are a classification "
            f"network's; choose one of these as `network`"
        )
    usual = ClassifierSettings(
        network=ENCODER,
        image_size=(224, 224),
        batch_size=32,
        learning_rate=5e-4,
        crop_padding=16,
        normalisation="image",
    )
    overrides = {**changes.pop("overrides", {}), **ENCODERS[network]}
    return replace(usual, **changes, overrides=overrides)


def training_folder(output: Path) -> Path:
    """Return where the training for a checkpoint has its files: a folder beside it."""
    return output.with_name(f"{output.stem}-training")


def pretrain_encoder(
    training: LabelledImages,
    held_out: LabelledImages,
    output: Path,
    *,
    network: str,
    settings: ClassifierSettings,
    progress: bool = False,
) -> PretrainedEncoder:
    """Train an encoder, and write a checkpoint for ``nnUNetv2_train -pretrained_weights``.

    A training that was stopped continues when this runs again. The encoder and the decoder's blocks of the same
    resolution take the weights of the best epoch (``ClassifierTraining.best``); the rest gets new values, always
    the same ones.

    Args:
        training: images to learn from.
        held_out: images of the same classes that only measure.
        output: checkpoint to write.
        network: that it is for, one of ENCODERS.
        settings: see ``pretraining_settings``.
        progress: show how far it is.

    Raises:
        ValueError: the training's folder holds another training, or images or settings do not fit.
        OSError: nothing can be written there.
    """
    folder = training_folder(output)
    try:
        trained = train_classifier(training, held_out, folder, settings=settings, progress=progress)
    except OtherTrainingError as error:
        raise ValueError(
            f"{error.found}; choose another `output`, beside which its training will lie, or remove this folder"
        ) from error
    best = read_classifier_file(folder / BEST_FILE)
    encoder = settings.create_network(len(best.classes))
    weights = {published_name(encoder, name): value for name, value in best.weights.items()}
    write_torch_file({"model": weights}, folder / WEIGHTS_FILE)
    overrides = {name: value for name, value in settings.overrides.items() if name not in ENCODERS[network]}
    imported = import_weights(folder / WEIGHTS_FILE, network, output, overrides=overrides)
    return PretrainedEncoder(training=trained, imported=imported)
