import json

import pytest
from optional_networks import installed_trainers

from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import MARK
from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer
from nnunet_mamba.planning.selection import refuse_plans_of_others, select
from nnunet_mamba.planning.trainer_lookup import trainer_class

IN_BOTH, IN_2D = "nnUNetTrainerUMambaBot", "nnUNetTrainerVMUNet"


def selected(base, *names, **request):
    return {trainer.name: configurations for trainer, configurations in select(base, names, PlanningRequest(**request))}


def test_every_configuration_that_suits_network_and_patch(made_up_base):
    assert selected(made_up_base, IN_BOTH, IN_2D) == {IN_BOTH: ["2d", "3d_fullres"], IN_2D: ["2d"]}
    assert selected(made_up_base, IN_BOTH, patch_size=(8, 8, 8)) == {IN_BOTH: ["3d_fullres"]}
    # A trainer that was named and does not suit the patch is left out where another one does.
    assert selected(made_up_base, IN_BOTH, IN_2D, patch_size=(8, 8, 8)) == {IN_BOTH: ["3d_fullres"]}


def test_without_names_all_trainers_that_suit_everything_asked_for(made_up_base):
    assert list(selected(made_up_base)) == installed_trainers()
    in_3d = selected(made_up_base, configurations=("2d", "3d_fullres"))
    assert IN_2D not in in_3d
    assert in_3d[IN_BOTH] == ["2d", "3d_fullres"]


def test_a_trainer_is_resolved_with_its_plans(made_up_base):
    ((trainer, _),) = select(made_up_base, ["nnUNetTrainerVMUNet_paper_3epochs"], PlanningRequest())
    assert isinstance(trainer, ResolvedTrainer)
    assert trainer.base is made_up_base
    assert trainer.trainer is trainer_class("nnUNetTrainerVMUNet_paper_3epochs")
    assert trainer.recipe is trainer.trainer.recipe


@pytest.mark.parametrize(
    ("names", "asked", "setting", "text"),
    [
        ((IN_2D,), {"configurations": ["3d_fullres"]}, "configuration", r"has 3 axes: nnUNetTrainerVMUNet trains 2D;"),
        ((IN_BOTH,), {"configurations": ["2d"], "patch_size": (8, 8, 8)}, "configuration", r"patch size has 3 numbers"),
        ((IN_BOTH,), {"configurations": ["3d_lowres"]}, "configuration", r"3d_lowres: .*2d, 3d_fullres"),
        ((), {"configurations": ["3d_lowres"]}, "configuration", r"3d_lowres: .*2d, 3d_fullres"),
        ((), {"configurations": ["3d_cascade_fullres"]}, "configuration", r"3d_cascade_fullres: .*2d, 3d_fullres"),
        (
            ("nnUNetTrainerX",),
            {},
            "trainers",
            r"nnUNetTrainerX: unknown; choose one of nnUNetTrainer\w+, nnUNetTrainer",
        ),
        ((IN_2D,), {"patch_size": (8, 8, 8)}, "trainers", r"nnUNetTrainerVMUNet: trains 2D, and 2d has 2 axes and"),
    ],
)
def test_what_does_not_suit_is_refused(made_up_base, names, asked, setting, text):
    with pytest.raises(ValueError, match=text) as error:
        select(made_up_base, names, PlanningRequest(**asked))
    assert str(error.value).startswith(f"`{setting}` ")


def test_a_patch_with_axes_of_no_configuration_is_refused(made_up_base):
    del made_up_base.plans["configurations"]["3d_fullres"]
    with pytest.raises(ValueError, match=r"^`patch_size` 8×8×8 has 3 axes, and 2d has 2: .*give 2 numbers"):
        select(made_up_base, (), PlanningRequest(patch_size=(8, 8, 8)))
    made_up_base.plans["configurations"] = {"slices": {"patch_size": [8, 8]}}
    with pytest.raises(ValueError, match=r"nnUNetPlans has none of 2d, 3d_lowres, 3d_fullres, but slices"):
        select(made_up_base, (), PlanningRequest())


def test_plans_of_others_are_refused(made_up_base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_up_base.folder.mkdir()
    file = made_up_base.folder / "nnUNetVMUNetPlans.json"
    selection = select(made_up_base, [IN_BOTH, IN_2D], PlanningRequest())
    refuse_plans_of_others(selection)
    file.write_text("{}")
    with pytest.raises(FileExistsError, match=r"nnUNetVMUNetPlans\.json was not written by nnunet-mamba plan"):
        refuse_plans_of_others(selection)
    file.write_text(json.dumps({MARK: {}}))
    refuse_plans_of_others(selection)
