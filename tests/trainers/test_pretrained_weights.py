"""ImageNet weights into a training of stock nnU-Net: our import, then its own command."""

import json

import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.networks.upstream_weights import published_name

TRAINER = "nnUNetTrainerVMUNet_1epoch_1iteration"


def vmamba_tiny() -> dict[str, torch.Tensor]:
    """Weights with the names and shapes of VMamba-T, whose third stage is deeper than VM-UNet's."""
    network = create_network("vm_unet", 3, 1, depths=(2, 2, 9, 2))
    published = {published_name(network, key): value for key, value in network.state_dict().items()}
    encoder = {key: value for key, value in published.items() if key.startswith(("patch_embed.", "layers."))}
    head = {"head.weight": torch.zeros(1000, 768), "head.bias": torch.zeros(1000)}
    return {**encoder, "norm.weight": torch.ones(768), "norm.bias": torch.zeros(768), **head}


@pytest.mark.slow
def test_a_training_begins_with_imported_imagenet_weights(planned, tmp_path):
    published = {"model": vmamba_tiny()}
    assert len(published["model"]) == 212
    torch.save(published, tmp_path / "vmamba_tiny.pth")
    description = planned.preprocessed / "dataset.json"
    labels = {"labels": {"background": 0, "disc": 1, "ring": 2}}
    description.write_text(json.dumps({**json.loads(description.read_text()), **labels}))
    checkpoint = tmp_path / "pretrained.pth"

    imported = planned.run(
        *("nnunet-mamba", "import-weights", str(tmp_path / "vmamba_tiny.pth"), "--network", "vm_unet"),
        *("--output", str(checkpoint)),
    )
    trained = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", TRAINER, "-pretrained_weights", str(checkpoint))

    assert imported.returncode == 0, imported.stdout + imported.stderr
    assert "208 keys loaded" in imported.stdout
    assert "14 keys keep their initial values: layers_up.1.upsample.expand.weight" in imported.stdout
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "Loading pretrained weights" in trained.stdout
    fold = planned.results / planned.dataset / f"{TRAINER}__nnUNetPlans__2d" / "fold_0"
    weights = torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"]
    # One step of AdamW moves a number by no more than the learning rate, 1e-3.
    first = published["model"]["layers.0.blocks.0.self_attention.in_proj.weight"]
    for place in ("layers.0", "decoder.layers_up.3"):
        torch.testing.assert_close(weights[f"{place}.blocks.0.ss2d.in_proj.weight"], first, rtol=0, atol=1.5e-3)
