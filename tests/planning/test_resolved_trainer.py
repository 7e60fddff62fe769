import pytest

from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.resolved_trainer import resolve_trainers


@pytest.mark.parametrize(
    ("name", "base", "plans"),
    [
        ("nnUNetTrainerUltraLightVM", "nnUNetPlans", "nnUNetUltraLightVMPlans"),
        ("nnUNetTrainerUMambaBot", "nnUNetResEncUNetMPlans", "nnUNetUMambaBotResEncUNetMPlans"),
        ("nnUNetTrainerVMUNet_20epochs_5iterations", "nnUNetPlans", "nnUNetVMUNetPlans"),
        ("nnUNetTrainerVMUNet_depths2292_paper_1epoch", "nnUNetPlans", "nnUNetVMUNet_depths2292_paperPlans"),
        ("nnUNetTrainerVMUNet_nnunet_deep_1epoch", "nnUNetPlans", "nnUNetVMUNet_nnunet_deepPlans"),
    ],
)
def test_the_name_of_the_plans_says_trainer_and_base(tmp_path, name, base, plans):
    (trainer,) = resolve_trainers([name], BasePlans(folder=tmp_path, plans={"plans_name": base}, dataset_json={}))
    assert trainer.plans_name == plans


def test_a_trainer_knows_its_network_and_what_that_pads_to(made_up_base):
    fixed, planned = resolve_trainers(["nnUNetTrainerVMUNet", "nnUNetTrainerUMambaBot"], made_up_base)
    assert (fixed.preset.name, fixed.dimensions, fixed.preset.has_stages_of_plans) == ("vm_unet", "2D", False)
    assert fixed.divisor("2d") == (32, 32)
    assert (planned.preset.name, planned.dimensions) == ("u_mamba_bot", "2D and 3D")
    assert planned.preset.has_stages_of_plans
    assert len(planned.divisor("3d_fullres")) == 3
