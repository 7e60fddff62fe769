"""Plans as nnU-Net makes them, and training steps with them, in memory."""

from pathlib import Path

import pytest

from nnunet_mamba.planning.patches import with_patch
from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.training_step import StepRequest


def _configuration(patch_size, median):
    """A configuration of nnU-Net's plans."""
    stages = {"features_per_stage": [32], "n_conv_per_stage": [2], "n_conv_per_stage_decoder": [2]}
    content = {
        "data_identifier": f"nnUNetPlans_{len(patch_size)}d",
        "batch_size": 12,
        "patch_size": [0] * len(patch_size),
        "median_image_size_in_voxels": list(median),
        "spacing": [1.0] * len(patch_size),
        "architecture": {"network_class_name": "", "arch_kwargs": stages, "_kw_requires_import": []},
    }
    return with_patch(content, patch_size)


@pytest.fixture
def made_up_base():
    """Base plans of 100 volumes, which lie in no folder."""
    configurations = {
        "2d": _configuration((192, 256), (192, 256)),
        "3d_fullres": _configuration((32, 96, 96), (64, 192, 256)),
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    }
    plans = {"dataset_name": "Dataset901_Tiny", "plans_name": "nnUNetPlans", "configurations": configurations}
    return BasePlans(folder=Path("Dataset901_Tiny"), plans=plans, dataset_json={"numTraining": 100})


def _step_request(trainer, patch_size, batch_size, *, features=32, labels=None):
    """A step as the planner asks for it, with the stages that nnU-Net plans for isotropic images."""
    stages = {"features_per_stage": [features], "n_conv_per_stage": [2], "n_conv_per_stage_decoder": [2]}
    content = {
        "data_identifier": "data",
        "batch_size": batch_size,
        "patch_size": [0] * len(patch_size),
        "median_image_size_in_voxels": list(patch_size),
        "spacing": [1.0] * len(patch_size),
        "batch_dice": True,
        "architecture": {"network_class_name": "", "arch_kwargs": stages, "_kw_requires_import": []},
    }
    name = "2d" if len(patch_size) == 2 else "3d_fullres"
    channels = {str(channel): "R" for channel in range(5 - len(patch_size))}
    described = {"channel_names": channels, "numTraining": 10, "file_ending": ".png"}
    return StepRequest(
        trainer=f"nnUNetTrainer{trainer}",
        plans={
            "dataset_name": "Dataset901_Tiny",
            "plans_name": "nnUNetPlans",
            "label_manager": "LabelManager",
            "configurations": {name: with_patch(content, patch_size)},
        },
        configuration=name,
        dataset_json={**described, **(labels or {"labels": {"background": 0, "a": 1}})},
    )


@pytest.fixture(scope="session")
def step_request():
    """The function that asks for a step of a trainer with a patch and a batch size."""
    return _step_request
