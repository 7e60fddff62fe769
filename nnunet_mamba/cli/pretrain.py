"""``nnunet-mamba pretrain``: first weights for VM-UNet from images with classes."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.import_weights import check_output, print_report
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from nnunet_mamba.classification.training import ClassifierTraining


class Network(str, Enum):
    """Networks whose encoders are a classification network's."""

    vm_unet = "vm_unet"
    vm_unet_no_mamba = "vm_unet_no_mamba"


def pretrain(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder of images for each class; the images of --labels; or CIFAR's python files.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write.", show_default=False)],
    network: Annotated[Network, typer.Option(help="Network that begins with the weights.")] = Network.vm_unet,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="CSV of images and classes, or with a column of 0 and 1 for each class, as ISIC's diagnoses come.",
            show_default="the folders' names",
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of each class that only measures; CIFAR has its own.")
    ] = 0.2,
    size: Annotated[int, typer.Option(min=32, help="Height and width that images are resized to, in pixels.")] = 224,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the images.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 5e-4,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror images at random, left to right.")] = True,
    rand_augment: Annotated[bool, typer.Option("--rand-augment", help="Vary images by RandAugment, too.")] = False,
    balanced_loss: Annotated[
        bool, typer.Option("--balanced-loss", help="Let every class count the same, however many images it has.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, variation, and which images are held out.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda; a CPU stands in for a device that is not there.")] = "cuda",
    workers: Annotated[int, typer.Option(min=0, help="Processes that vary images beside the training.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing OUTPUT.")] = False,
    progress: ProgressBars = True,
) -> None:
    """Train VM-UNet's encoder to tell images' classes, and write a checkpoint for nnUNetv2_train -pretrained_weights.

    The training's own files lie in a folder beside OUTPUT: run the same command again to continue one that was stopped.
    Images are normalised as nnU-Net does it.
    """
    with errors_as_text(is_conversion=False, continues=True, workers=""):
        check_output(output, overwrite=overwrite)
        if not 0 < held_out < 1:
            raise ValueError(f"`held_out={held_out}`, expected a number between 0 and 1, such as 0.2")
        from nnunet_mamba.classification.encoder_pretraining import pretrain_encoder, pretraining_settings
        from nnunet_mamba.classification.image_folders import read_labelled_images

        settings = pretraining_settings(
            network.value,
            image_size=(size, size),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            crop_padding=size // 14,
            flip=flip,
            rand_augment=rand_augment,
            balanced_loss=balanced_loss,
            seed=seed,
            device=device,
            workers=workers,
        )
        training, measured = read_labelled_images(folder, labels=labels)
        if measured is None:
            training, measured = training.split(held_out, seed=seed)
        counts = ", ".join(f"{name} {count}" for name, count in training.counts().items())
        print(f"{len(training)} images to train with ({counts}), {len(measured)} held out")
        pretrained = pretrain_encoder(
            training, measured, output, network=network.value, settings=settings, progress=progress
        )
    _print_accuracies(pretrained.training)
    print_report(pretrained.imported, network.value)
    print(f"{output} (nnUNetv2_train ... -pretrained_weights {output})")


def _print_accuracies(trained: "ClassifierTraining") -> None:
    last, best = trained.history[-1], trained.best
    minutes = sum(epoch.seconds for epoch in trained.history) / 60
    print(
        f"accuracy on held-out images: {last.accuracy:.4f} after the last epoch (mean of classes "
        f"{last.balanced_accuracy:.4f}), {best.accuracy:.4f} ({best.balanced_accuracy:.4f}) after the best, whose "
        f"weights are written; {minutes:.1f} minutes"
    )
    print(f"training: {trained.folder}")
