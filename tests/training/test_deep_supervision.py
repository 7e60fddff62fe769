import shutil

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from PIL import Image
from torch import nn

from nnunet_mamba import create_network
from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.training.deep_supervision import deep_supervision_scales, freeze_heads_without_logits
from nnunet_mamba.training.generated_trainers import has_deep_variant, load_trainer

DEEP = [name for name in trainer_names() if has_deep_variant(load_trainer(name))]
VOLUMES = ["nnUNetTrainerUltraLightVM", "nnUNetTrainerUltraLightVMv1", "nnUNetTrainerUltraLBM"]


def labels_for(trainer, patch_size):
    """A batch of two labels, brought to the sizes of the outputs by nnU-Net's own transform."""
    downsample = DownsampleSegForDSTransform(trainer._get_deep_supervision_scales())
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (2, 1, *patch_size), generator=generator)
    of_cases = [downsample(segmentation=label)["segmentation"] for label in labels]
    return [torch.stack(level) for level in zip(*of_cases, strict=True)]


@pytest.mark.parametrize(
    ("name", "patch_size"), [*((name, (33, 47)) for name in DEEP), *((name, (7, 24, 33)) for name in VOLUMES)]
)
def test_every_network_trains_with_a_head_at_every_resolution(build_trainer, name, patch_size):
    """The patch size is no multiple of any pooling."""
    trainer = build_trainer(f"{name}_deep_1epoch_1iteration", patch_size)
    trainer.initialize()
    heads = trainer.network.decoder.seg_layers
    before = [head.weight.detach().clone() for head in heads]
    batch = {"data": torch.randn(2, 3, *patch_size), "target": labels_for(trainer, patch_size)}

    trainer.network.train()
    outputs = trainer.network(batch["data"])
    losses = trainer.train_step(batch), trainer.validation_step(batch)
    trainer.set_deep_supervision_enabled(False)

    assert len(outputs) == len(heads) == len(batch["target"]) >= 4
    for logits, labels in zip(outputs, batch["target"], strict=True):
        assert logits.shape[2:] == labels.shape[2:]
    assert outputs[0].shape == (2, 2, *patch_size)
    assert all(np.isfinite(loss["loss"]) for loss in losses)
    # nnU-Net gives the coarsest output no weight.
    unchanged = [torch.equal(head.weight, old) for head, old in zip(heads, before, strict=True)]
    assert unchanged.count(True) == 1
    assert trainer.network(batch["data"]).shape == (2, 2, *patch_size)


def test_predicting_builds_the_heads_of_the_checkpoint_and_returns_one_output(build_trainer):
    trainer = build_trainer("nnUNetTrainerUltraLightVM_deep")
    trainer.initialize()

    network = type(trainer).build_network_architecture(
        trainer.plans_manager, trainer.configuration_manager, 3, 2, enable_deep_supervision=False
    )
    network.load_state_dict(trainer.network.state_dict(), strict=True)

    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize("patch_size", [(64, 96), (33, 47), (16, 1), (257, 511)])
def test_scales_give_the_labels_the_sizes_of_the_outputs(patch_size):
    for name in ("ultralight_vm_unet", "ul_vm_unet_v1", "ege_unet"):
        network = create_network(name, 1, 2, deep_supervision=True)
        downsample = DownsampleSegForDSTransform(deep_supervision_scales(network, patch_size))
        labels = downsample(segmentation=torch.zeros(1, *patch_size))["segmentation"]
        with torch.no_grad():
            outputs = network(torch.zeros(1, 1, *patch_size))
        assert [x.shape[1:] for x in labels] == [x.shape[2:] for x in outputs]


def test_scales_of_patches_that_fit_are_the_pooling_of_the_network():
    network = create_network("vm_unet", 1, 2, dims=(8, 16, 32, 64), deep_supervision=True)
    assert deep_supervision_scales(network, (64, 96)) == [[1, 1], [1 / 8] * 2, [1 / 16] * 2, [1 / 32] * 2]


def test_scales_of_u_mamba_are_the_plans(build_trainer):
    trainer = build_trainer("nnUNetTrainerUMambaBot_1epoch", (8, 32, 32))
    trainer.initialize()
    assert trainer._get_deep_supervision_scales() == [[1, 1, 1], [1, 0.5, 0.5]]


def test_networks_are_found_inside_what_nnunet_wraps_them_in():
    network = create_network("ul_vm_unet_v1", 1, 2, deep_supervision=True)
    wrapped = nn.DataParallel(torch.compile(network, backend="eager"))
    assert deep_supervision_scales(wrapped, (64, 64)) == deep_supervision_scales(network, (64, 64))


@pytest.mark.parametrize("name", ["ul_vm_unet_v1", "u_mamba_bot"])
def test_only_the_head_of_the_highest_resolution_stays_free(name):
    stages = {"features_per_stage": (4, 8, 8), "strides": (1, 2, 2)} if name == "u_mamba_bot" else {}
    network = create_network(name, 1, 2, deep_supervision=True, **stages)
    network.deep_supervision = False

    freeze_heads_without_logits(network)
    network(torch.randn(2, 1, 32, 32)).square().mean().backward()

    assert [parameter.grad is None for parameter in network.parameters() if parameter.requires_grad].count(True) == 0
    assert len([head for head in network.heads if head.weight.requires_grad]) == 1


@pytest.mark.slow
def test_stock_commands_train_and_predict_with_heads(planned, tmp_path):
    trainer = "nnUNetTrainerUltraLightVM_nnunet_deep_1epoch_2iterations"
    trained = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", trainer)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    fold = planned.results / planned.dataset / f"{trainer}__nnUNetPlans__2d" / "fold_0"
    weights = torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"]
    assert len([key for key in weights if ".seg_layers." in key]) == 2 * 5
    assert (fold / "validation/summary.json").exists()

    images = tmp_path / "images"
    shutil.copytree(planned.root / "nnUNet_raw" / planned.dataset / "imagesTr", images)
    predicted = planned.run(
        *("nnUNetv2_predict", "-i", str(images), "-o", str(tmp_path / "masks"), "-d", "901", "-c", "2d", "-f", "0"),
        *("-tr", trainer, "-device", "cpu", "-npp", "1", "-nps", "1"),
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    masks = sorted((tmp_path / "masks").glob("*.png"))
    assert len(masks) == 10
    assert {np.asarray(Image.open(mask)).shape for mask in masks} == {(52, 60)}
