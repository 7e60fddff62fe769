import dataclasses

import pytest

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.training import recipes
from nnunet_mamba.training.augmentation.choices import FLIPS_AND_ROTATIONS, NONE
from nnunet_mamba.training.augmentation.choices import NNUNET as NNUNETS
from nnunet_mamba.training.generated_trainers import load_trainer, named_recipes
from nnunet_mamba.training.guarded_trainer import GuardedTrainer

# optimiser, learning rate at the top and the bottom, half waves, weight decay, epochs, batch, augmentation, mirrors
PRINTED = {
    "ULTRALIGHT_VM_UNET": ("AdamW", 1e-3, 1e-5, 1, 1e-2, 200, 8, FLIPS_AND_ROTATIONS, True),
    "VM_UNET_PAPER": ("AdamW", 1e-3, 1e-5, 300 / 50, 1e-2, 300, 32, FLIPS_AND_ROTATIONS, True),
    "VM_UNET": ("AdamW", 1e-3, 1e-5, 1, 1e-2, 300, 32, FLIPS_AND_ROTATIONS, True),
    "ULTRALBM_UNET_PAPER": ("AdamW", 1e-3, 1e-5, 300 / 50, 1e-2, 300, 8, FLIPS_AND_ROTATIONS, True),
    "ULTRALBM_UNET": ("AdamW", 1e-3, 1e-5, 1, 1e-2, 300, 8, FLIPS_AND_ROTATIONS, True),
    "MALUNET_PAPER": ("AdamW", 1e-3, 1e-5, 300 / 50, 1e-2, 300, 8, FLIPS_AND_ROTATIONS, True),
    "MALUNET": ("AdamW", 1e-3, 1e-5, 1, 1e-2, 300, 8, FLIPS_AND_ROTATIONS, True),
    "TUMOUR_PAPER": ("Adam", 3e-4, 1e-5, 0, 0, 100, 32, NONE, False),
    "TUMOUR": ("AdamW", 1e-3, 1e-5, 1, 1e-2, 100, 32, FLIPS_AND_ROTATIONS, True),
    "NNUNET": ("SGD", 1e-2, None, 1, 3e-5, 1000, None, NNUNETS, True),
    "U_MAMBA": ("SGD", 1e-2, None, 1, 3e-5, 1000, None, NNUNETS, True),
}
# The recipe without a suffix, and the one of "_paper".
FAMILIES = {
    "nnUNetTrainerUltraLightVM": ("ULTRALIGHT_VM_UNET", "ULTRALIGHT_VM_UNET"),
    "nnUNetTrainerUltraLightVMNoMamba": ("ULTRALIGHT_VM_UNET", "ULTRALIGHT_VM_UNET"),
    **{f"nnUNetTrainerUltraLightVMv{version}": ("TUMOUR", "TUMOUR_PAPER") for version in range(1, 7)},
    "nnUNetTrainerVMUNet": ("VM_UNET", "VM_UNET_PAPER"),
    "nnUNetTrainerVMUNetNoMamba": ("VM_UNET", "VM_UNET_PAPER"),
    "nnUNetTrainerUltraLBM": ("ULTRALBM_UNET", "ULTRALBM_UNET_PAPER"),
    "nnUNetTrainerUltraLBMNoMamba": ("ULTRALBM_UNET", "ULTRALBM_UNET_PAPER"),
    "nnUNetTrainerUltraLBMT": ("ULTRALBM_UNET", "ULTRALBM_UNET_PAPER"),
    "nnUNetTrainerUMambaBot": ("U_MAMBA", "U_MAMBA"),
    "nnUNetTrainerUMambaEnc": ("U_MAMBA", "U_MAMBA"),
    "nnUNetTrainerUMambaNoMamba": ("U_MAMBA", "U_MAMBA"),
    "nnUNetTrainerUMambaBotTumour": ("TUMOUR", "TUMOUR_PAPER"),
    "nnUNetTrainerUMambaBotPP": ("NNUNET", "TUMOUR_PAPER"),
    **dict.fromkeys(
        [f"nnUNetTrainer{name}" for name in ("UNetTumour", "ResNet18Seg", "ResNet50Seg", "SegFormerTumour")],
        ("TUMOUR", "TUMOUR_PAPER"),
    ),
    **dict.fromkeys(
        [f"nnUNetTrainer{name}" for name in ("UNeXt", "ULite", "CMUNeXtS")], ("ULTRALBM_UNET", "ULTRALBM_UNET_PAPER")
    ),
    **dict.fromkeys(
        [f"nnUNetTrainer{name}" for name in ("LightMUNet", "LightMUNet32")],
        ("ULTRALIGHT_VM_UNET", "ULTRALIGHT_VM_UNET"),
    ),
    "nnUNetTrainerMALUNet": ("MALUNET", "MALUNET_PAPER"),
    "nnUNetTrainerEGEUNet": ("MALUNET", "MALUNET_PAPER"),
    **dict.fromkeys(
        [f"nnUNetTrainerSmp{name}" for name in ("Unet", "UnetPlusPlus", "Segformer", "DPT")],
        ("VM_UNET", "VM_UNET_PAPER"),
    ),
    **dict.fromkeys(
        [f"nnUNetTrainerMonai{name}" for name in ("AttentionUnet", "UnetPlusPlus", "SwinUNETR", "UNETR")],
        ("VM_UNET", "VM_UNET_PAPER"),
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_recipes_have_the_numbers_of_their_sources(name):
    recipe = getattr(recipes, name)
    assert PRINTED[name] == (
        *(recipe.optimizer, recipe.initial_lr, recipe.final_lr, recipe.half_waves, recipe.weight_decay),
        *(recipe.num_epochs, recipe.largest_batch_size, recipe.augmentation, recipe.mirrors),
    )
    assert recipe.ema_decay is None


def test_every_recipe_is_checked_and_has_a_source():
    found = {name: value for name, value in vars(recipes).items() if isinstance(value, recipes.Recipe)}
    assert found.keys() == PRINTED.keys()
    assert all(recipe.source for recipe in found.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_recipes(name):
    default, paper = (getattr(recipes, recipe) for recipe in FAMILIES[name])
    trainer = load_trainer(name)
    assert trainer.recipe is default
    assert named_recipes(trainer)["paper"] == dataclasses.replace(paper, save_every=default.save_every)


def test_no_trainer_is_left_out():
    assert set(trainer_names()) - FAMILIES.keys() <= {"nnUNetTrainerUltraLBMTDistill"}


def test_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.NNUNET.num_epochs = 1


@pytest.mark.parametrize(("centres_labels", "share"), [(True, 0.33), (False, 0.0)])
def test_a_framing_may_leave_patches_where_their_images_are(build_trainer, monkeypatch, centres_labels, share):
    trainer = build_trainer("nnUNetTrainerUltraLightVM_1epoch")
    framing = dataclasses.replace(trainer.recipe.augmentation.framing, centres_labels=centres_labels)
    augmentation = dataclasses.replace(trainer.recipe.augmentation, framing=framing)
    monkeypatch.setattr(type(trainer), "recipe", dataclasses.replace(trainer.recipe, augmentation=augmentation))
    asked = []

    def loaders(self):
        asked.append(self.oversample_foreground_percent)
        return ()

    monkeypatch.setattr(GuardedTrainer, "get_dataloaders", loaders)
    trainer.get_dataloaders()
    assert asked == [share]
