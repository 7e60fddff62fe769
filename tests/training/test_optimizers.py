import math

import pytest
import torch
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from optional_networks import all_trainers
from torch import nn

from nnunet_mamba import create_network
from nnunet_mamba.training import recipes
from nnunet_mamba.training.generated_trainers import load_trainer
from nnunet_mamba.training.optimizers import optimizer_and_schedule


def rates(recipe, num_epochs):
    optimizer, schedule = optimizer_and_schedule(nn.Linear(2, 2), recipe, num_epochs)
    found = []
    for epoch in range(num_epochs):
        schedule.step(epoch)
        found.append(optimizer.param_groups[0]["lr"])
    assert all(group["lr"] == found[-1] for group in optimizer.param_groups)
    return found


def test_nnunets_rate_falls_as_a_polynomial():
    assert rates(recipes.NNUNET, 10) == pytest.approx([1e-2 * (1 - epoch / 10) ** 0.9 for epoch in range(10)])


def test_the_tumour_papers_rate_is_constant():
    assert rates(recipes.TUMOUR_PAPER, 5) == [3e-4] * 5


@pytest.mark.parametrize("recipe", [recipes.VM_UNET_PAPER, recipes.ULTRALBM_UNET_PAPER])
def test_the_papers_cosine_of_50_epochs_is_torchs(recipe):
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters(), lr=1e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-5)
    expected = []
    for _ in range(300):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert rates(recipe, 300) == pytest.approx(expected, rel=1e-6)


def test_one_cosine_spans_a_small_budget():
    expected = [1e-5 + 9.9e-4 * (1 + math.cos(math.pi * epoch / 8)) / 2 for epoch in range(8)]
    assert rates(recipes.VM_UNET, 8) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("recipe", "optimizer", "weight_decay"),
    [
        (recipes.NNUNET, torch.optim.SGD, 3e-5),
        (recipes.TUMOUR_PAPER, torch.optim.Adam, 0),
        (recipes.TUMOUR, torch.optim.AdamW, 1e-2),
    ],
)
def test_the_state_space_does_not_decay_whatever_the_optimiser(recipe, optimizer, weight_decay):
    network = create_network("ultralight_vm_unet", 3, 1)
    built, _ = optimizer_and_schedule(network, recipe, 10)
    decayed, kept = built.param_groups
    assert type(built) is optimizer
    assert (decayed["weight_decay"], kept["weight_decay"]) == (weight_decay, 0)
    assert any(value is network.bottleneck.mambas[0].A_log for value in kept["params"])
    if optimizer is torch.optim.SGD:
        assert (built.defaults["momentum"], built.defaults["nesterov"]) == (0.99, True)


@pytest.mark.parametrize("suffix", ["", "_paper", "_nnunet", "_robust"])
@pytest.mark.parametrize("name", all_trainers())
def test_every_trainer_configures_the_optimiser_of_its_recipe(build_trainer, name, suffix):
    trainer = build_trainer(f"{name}{suffix}_3epochs")
    recipe = type(trainer).recipe
    assert recipe is load_trainer(name).recipe or suffix
    trainer.network = nn.Linear(2, 2)

    optimizer, schedule = trainer.configure_optimizers()
    schedule.step(1)

    assert type(optimizer).__name__ == recipe.optimizer
    assert optimizer.param_groups[0]["weight_decay"] == recipe.weight_decay
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rates(recipe, 3)[1])
    assert trainer.num_epochs == 3
    assert trainer.save_every == load_trainer(name).recipe.save_every
    assert optimizer.param_groups[0]["fused"] is True


def test_on_a_gpu_torch_chooses_how_weights_are_updated(build_trainer):
    trainer = build_trainer("nnUNetTrainerUltraLightVM_3epochs")
    trainer.network, trainer.device = nn.Linear(2, 2), torch.device("cuda")
    assert trainer.configure_optimizers()[0].param_groups[0]["fused"] is None


def test_without_a_budget_the_recipe_says_how_long(build_trainer):
    assert build_trainer("nnUNetTrainerUltraLightVM_nnunet").num_epochs == 1000
    assert build_trainer("nnUNetTrainerUMambaBotTumour_paper").num_epochs == 100


def test_a_rate_that_a_subclass_sets_is_kept(build_trainer):
    trainer = build_trainer("nnUNetTrainerUMambaBotTumour_paper")
    trainer.network, trainer.initial_lr = nn.Linear(2, 2), 1e-4
    optimizer, schedule = trainer.configure_optimizers()
    schedule.step(50)
    assert optimizer.param_groups[0]["lr"] == 1e-4


def training_transforms(trainer):
    rotation, dummy_2d, _, mirror_axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    patch_size = trainer.configuration_manager.patch_size
    return trainer.get_training_transforms(
        patch_size, rotation, None, mirror_axes, dummy_2d, use_mask_for_norm=[False] * 3
    )


def test_without_augmentation_images_pass_as_they_are_and_are_not_mirrored_in_prediction(build_trainer):
    trainer = build_trainer("nnUNetTrainerUMambaBotTumour_paper")
    transforms = training_transforms(trainer)
    image = torch.randn(3, 40, 48)
    for _ in range(5):
        passed = transforms(image=image.clone(), segmentation=torch.zeros(1, 40, 48, dtype=torch.int16))
        assert torch.equal(passed["image"], image)
    assert trainer.inference_allowed_mirroring_axes is None


@pytest.mark.parametrize(
    ("name", "n_transforms"), [("nnUNetTrainerUMambaBotTumour", 3), ("nnUNetTrainerUltraLightVM_nnunet_1epoch", 8)]
)
def test_other_recipes_mirror_in_training_and_prediction(build_trainer, name, n_transforms):
    trainer = build_trainer(name if "_" in name else f"{name}_1epoch")
    transforms = training_transforms(trainer).transforms
    assert any(isinstance(transform, MirrorTransform) for transform in transforms)
    assert trainer.inference_allowed_mirroring_axes == (0, 1)
    assert len(transforms) >= n_transforms


def test_names_choose_the_recipe_of_the_augmentation(build_trainer):
    ours, nnunets = (training_transforms(build_trainer(f"nnUNetTrainerVMUNet{end}")) for end in ("_1epoch", "_nnunet"))
    assert len(nnunets.transforms) > len(ours.transforms)
    robust = training_transforms(build_trainer("nnUNetTrainerVMUNet_robust"))
    assert len(robust.transforms) > len(nnunets.transforms)


@pytest.mark.parametrize(("suffix", "has_margin"), [("_1epoch", True), ("_nnunet", True), ("_robust", False)])
def test_an_image_that_goes_on_beyond_its_edges_is_loaded_without_a_margin(build_trainer, suffix, has_margin):
    trainer = build_trainer(f"nnUNetTrainerVMUNet{suffix}")
    _, _, loaded, _ = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert (list(loaded) != trainer.configuration_manager.patch_size) is has_margin


@pytest.mark.parametrize("recipe", [recipes.NNUNET, recipes.ULTRALIGHT_VM_UNET, recipes.TUMOUR_PAPER])
def test_a_fused_optimiser_takes_the_same_steps_and_goes_on_from_one_that_is_not(recipe):
    def trained(before, after):
        torch.manual_seed(0)
        network = nn.Linear(3, 2)
        optimizer, _ = optimizer_and_schedule(network, recipe, 10, fused=before)
        for turn in range(6):
            if turn == 3:
                state = optimizer.state_dict()
                optimizer, _ = optimizer_and_schedule(network, recipe, 10, fused=after)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            network(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
            optimizer.step()
        assert {group["fused"] for group in optimizer.param_groups} == {True if after else None}
        return network.weight.detach()

    expected = trained(False, False)
    assert trained(True, True).allclose(expected, rtol=1e-5, atol=1e-6)
    assert trained(False, True).allclose(expected, rtol=1e-5, atol=1e-6)
    assert trained(True, False).allclose(expected, rtol=1e-5, atol=1e-6)
