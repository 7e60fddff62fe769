"""What a run does otherwise than the paper is told, whatever it is."""

from pathlib import Path

from nnunet_mamba.reproduction.conversion import ConvertedData
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.found_differences import differences_of
from nnunet_mamba.reproduction.own_plans import OwnPlans
from nnunet_mamba.reproduction.planned_rows import planned_rows
from nnunet_mamba.reproduction.request import Budget, ReproductionRequest
from nnunet_mamba.training import recipes

TABLE = EXPERIMENTS["ultralbm-unet-table-1"]
ISIC17, PH2 = TABLE.data["isic17"], TABLE.data["ph2"]


def told(*, given=("isic17", "isic18", "ph2"), converted=(), plans=None, **changes):
    request = ReproductionRequest(
        **{
            "experiment": TABLE,
            "output": Path("out"),
            "places": dict.fromkeys(given, Path()),
            "rows": ["UltraLBM-UNet"],
            "repeats": 3,
            **changes,
        }
    )
    rows = planned_rows(request)
    made = {row.trainings[0]: own for row in rows[:1] for own in (plans or [])}
    return differences_of(request, converted, made, rows)


def converted(data, n_images, **changes):
    return ConvertedData(data=data, folder=Path(), n_images=n_images, **changes)


def plans(recipe, batch_size, limited_by="recipe"):
    return [OwnPlans(batch_size=batch_size, patch_size=(256, 256), recipe=recipe, limited_by=limited_by)]


def test_what_is_as_in_the_paper_adds_nothing_to_what_the_experiment_declares():
    assert told(plans=plans(recipes.ULTRALBM_UNET_PAPER, 8)) == list(TABLE.differences)


def test_other_numbers_of_images_are_told_with_the_split():
    split = "1345 training and 576 held-out cases, drawn with seed 12345"
    found = told(converted=[converted(ISIC17, 1921, source=split), converted(PH2, 10)])
    assert f"isic17: 1921 images, where the paper has 2150: {split}. The split keeps the paper's ratio." in found
    assert "ph2: 10 images are tested with, where the paper has 200." in found
    assert f"isic17: 2150 images: {split}." in told(converted=[converted(ISIC17, 2150, source=split)])


def test_patients_on_both_sides_are_told_without_advice():
    warning = "2 of 2 patients or lesions have cases on several sides of this split; `split='five-fold'` keeps them"
    found = told(converted=[converted(ISIC17, 2150, warning=warning)])
    assert "isic17: 2 of 2 patients or lesions have cases on several sides of this split." in found


def test_budget_seeds_and_missing_models_are_told():
    found = told(given=["isic17", "ph2"], budget=Budget(epochs=20), repeats=1)
    assert "Every network trains for 20 epochs, and as long as its paper says without a budget." in found
    assert "Every training is run from one seed, where the paper has 3 seeds." in found
    assert any(text.startswith("ph2: UltraLBM-UNet is tested with models of isic17 alone") for text in found)
    (seeds,) = [text for text in told(experiment=EXPERIMENTS["vm-unet-table-i"], rows=[], repeats=2) if "seeds" in text]
    assert seeds == "Every training is run from 2 seeds; the paper tells of no repeats."


def test_smaller_batches_and_other_recipes_are_told():
    found = told(plans=plans(recipes.ULTRALBM_UNET_PAPER, 4, "memory"))
    batches = "isic17: batches of 4, where the recipe has 8 (more do not fit into the memory)"
    assert f"{batches}: nnUNetTrainerUltraLBM_paper." in found
    (text,) = [each for each in told(plans=plans(recipes.ULTRALIGHT_VM_UNET, 8)) if "recipe of its own" in each]
    ours, theirs = text.split("; that of the table's paper has ")
    assert ours.endswith("with 200 epochs, a learning rate of 0.001 that falls to 1e-05 as one cosine")
    assert theirs == "300 epochs, a learning rate of 0.001 that goes to 1e-05 and back as a cosine of 6 half waves."
    (text,) = [each for each in told(plans=plans(recipes.NNUNET, 8)) if "recipe of its own" in each]
    assert "SGD and a weight decay of 3e-05, a learning rate of 0.01 that falls to 0 as a polynomial" in text
    assert "batches of any size, nnU-Net's augmentation; " in text
    # With a budget all train for as long.
    found = told(plans=plans(recipes.ULTRALIGHT_VM_UNET, 8), budget=Budget(epochs=1))
    assert not any("200 epochs" in each for each in found)


def test_smaller_patches_and_plans_for_another_machine_are_told_unless_the_training_failed():
    own = OwnPlans(
        batch_size=8,
        patch_size=(128, 160),
        recipe=recipes.ULTRALBM_UNET_PAPER,
        limited_by="recipe",
        made_for="cuda and 4.00 GiB",
    )
    found = told(plans=[own])
    patches = "isic17: patches of 128×160, where the images have 256×256 (more do not fit into the memory)"
    assert f"{patches}: nnUNetTrainerUltraLBM_paper." in found
    assert any("nnUNetTrainerUltraLBM_paper keeps its plans for cuda and 4.00 GiB, not for what" in it for it in found)
    request = ReproductionRequest(
        experiment=TABLE, output=Path("out"), places={"isic17": Path()}, rows=["UltraLBM-UNet"], repeats=3
    )
    rows = planned_rows(request)
    lost = [row.stopped("Its training failed.") for row in rows]
    assert differences_of(request, [], {rows[0].trainings[0]: own}, lost) == list(TABLE.differences)
