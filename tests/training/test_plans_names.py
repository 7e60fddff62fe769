import pytest

from nnunet_mamba.training.plans_names import MARK, large_batch_notice, plans_name

CONFIGURATIONS = {
    "2d": {"batch_size": 49},
    "2d_half": {"inherits_from": "2d", "batch_size": 24},
    "3d_fullres": {"batch_size": 20},
    "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
}
PLANS = {"plans_name": "nnUNetPlans", "dataset_name": "Dataset007_Tiny", "configurations": CONFIGURATIONS}
TRAINER = "nnUNetTrainerUltraLightVM_20epochs"


@pytest.mark.parametrize(("batch_size", "largest"), [(8, 8), (2, 8), (500, None)])
def test_a_batch_that_the_recipe_has_needs_no_word(batch_size, largest):
    assert large_batch_notice(TRAINER, PLANS, "2d", batch_size=batch_size, largest=largest) is None


def test_a_larger_batch_is_told_with_the_commands_that_mend_it():
    notice = large_batch_notice(TRAINER, PLANS, "2d", batch_size=49, largest=8)
    assert notice.startswith("nnUNetPlans has batches of 49 for 2d, and the recipe of")
    assert "has 8 at most" in notice
    assert "about 6.1 times as long" in notice
    assert f"nnunet-mamba plan 7 --trainers {TRAINER} --configuration 2d; " in notice
    assert notice.endswith("train with -p nnUNetUltraLightVMPlans")
    assert len(notice.splitlines()) == 1


def test_all_seeds_share_plans_and_what_is_said_of_them():
    assert plans_name(f"{TRAINER}_seed2", "nnUNetPlans") == plans_name(TRAINER, "nnUNetPlans")
    first, second = (
        large_batch_notice(f"{TRAINER}{seed}", PLANS, "2d", batch_size=49, largest=8) for seed in ("", "_seed2")
    )
    assert first == second


@pytest.mark.parametrize(
    ("configuration", "planned", "trained"),
    [("3d_cascade_fullres", "3d_fullres", "train with -p"), ("2d_half", "2d", "train 2d with -p")],
)
def test_the_command_plans_what_a_configuration_inherits_from(configuration, planned, trained):
    notice = large_batch_notice(TRAINER, PLANS, configuration, batch_size=20, largest=8)
    assert f"batches of 20 for {configuration}, " in notice
    assert f"--configuration {planned}; then {trained} nnUNetUltraLightVMPlans" in notice


@pytest.mark.parametrize("mark", [{}, {MARK: {"base": "nnUNetResEncUNetMPlans"}}])
def test_other_plans_are_the_base(mark):
    name = "nnUNetMinePlans" if mark else "nnUNetResEncUNetMPlans"
    notice = large_batch_notice(TRAINER, {**PLANS, "plans_name": name, **mark}, "2d", batch_size=9, largest=8)
    assert "--base nnUNetResEncUNetMPlans; " in notice
    assert notice.endswith("-p nnUNetUltraLightVMResEncUNetMPlans")
