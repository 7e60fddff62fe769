import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.classification.classifier_files import read_classifier_file
from nnunet_mamba.classification.encoder_pretraining import pretrain_encoder, pretraining_settings, training_folder
from nnunet_mamba.models.nnunet.checkpoint_reading import read_checkpoint
from nnunet_mamba.networks.upstream_weights import published_name

SMALL = {"dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1)}
QUICK = {"image_size": (32, 32), "epochs": 2, "batch_size": 8, "crop_padding": 2, "device": "cpu"}


def encoder_weights(output):
    """The weights of the best epoch by the names that VMamba's code has."""
    stored = read_classifier_file(training_folder(output) / "best.safetensors")
    network = stored.settings.create_network(len(stored.classes))
    return {published_name(network, name): value for name, value in stored.weights.items()}


@pytest.mark.parametrize("network", ["vm_unet", "vm_unet_no_mamba"])
def test_encoder_and_decoder_of_the_checkpoint_begin_with_what_was_learned(coloured, tmp_path, network):
    output = tmp_path / "weights.pth"
    settings = pretraining_settings(network, **QUICK, overrides=SMALL)

    pretrained = pretrain_encoder(*coloured.split(1 / 3), output, network=network, settings=settings)

    assert len(pretrained.training.history) == 2
    assert pretrained.imported.report.source == "backbone"
    weights, learned = read_checkpoint(output, entries=("network_weights",))["network_weights"], encoder_weights(output)
    segmenting = create_network(network, 3, 1, **SMALL, depths_decoder=(2, 2, 2, 1))
    ours = {published_name(segmenting, name): value for name, value in weights.items()}
    for place in ("patch_embed.proj.weight", "layers.1.blocks.0.self_attention.in_proj.weight"):
        assert torch.equal(ours[place], learned[place])
    assert torch.equal(ours["layers_up.3.blocks.0.ln_1.weight"], learned["layers.0.blocks.0.ln_1.weight"])
    assert learned.keys() - ours.keys() == {"norm.weight", "norm.bias", "head.weight", "head.bias"}


def test_networks_without_an_encoder_that_classifies_are_refused():
    with pytest.raises(ValueError, match="network='u_mamba_bot', expected one of vm_unet, vm_unet_no_mamba"):
        pretraining_settings("u_mamba_bot")
