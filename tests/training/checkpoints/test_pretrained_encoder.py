"""From images with classes to the encoder of a trainer, by the way that nnU-Net takes."""

import numpy as np
import pytest
import torch
from nnunetv2.run.run_training import maybe_load_checkpoint

from nnunet_mamba.classification.classifier_files import read_classifier_file
from nnunet_mamba.classification.encoder_pretraining import pretrain_encoder, pretraining_settings, training_folder
from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.networks.upstream_weights import published_name


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 1])
def test_a_trainer_begins_with_the_encoder_that_was_pretrained(build_trainer, tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    images = LabelledImages.from_pixels(pixels, [0, 1] * 6, ("round", "long"))
    quick = {"image_size": (32, 32), "epochs": 1, "batch_size": 4, "crop_padding": 2, "device": "cpu"}
    settings, output = pretraining_settings("vm_unet", **quick), tmp_path / "weights.pth"

    pretrain_encoder(*images.split(1 / 3), output, network="vm_unet", settings=settings)
    trainer = build_trainer("nnUNetTrainerVMUNet_1epoch_1iteration", (64, 64))
    if channels == 1:
        trainer.dataset_json["channel_names"] = {"0": "grey"}
    # What nnUNetv2_train calls with -pretrained_weights.
    maybe_load_checkpoint(trainer, False, False, str(output))

    stored = read_classifier_file(training_folder(output) / "best.safetensors")
    classifier = stored.settings.create_network(2)
    learned = {published_name(classifier, name): value for name, value in stored.weights.items()}
    loaded = {published_name(trainer.network, name): value for name, value in trainer.network.state_dict().items()}
    of_encoder = [name for name in loaded if name.startswith(("patch_embed.", "layers."))]
    assert len(of_encoder) == len(learned) - 4 == 117
    assert [name for name in of_encoder if not torch.equal(loaded[name], learned[name])] == []
    in_decoder = loaded["layers_up.3.blocks.0.self_attention.A_logs"]
    assert torch.equal(in_decoder, learned["layers.0.blocks.0.self_attention.A_logs"])
    torch.manual_seed(settings.seed)
    untrained = settings.create_network(2).patch_embed.proj.weight
    assert not torch.equal(loaded["patch_embed.proj.weight"], untrained)
