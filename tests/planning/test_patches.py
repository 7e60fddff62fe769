import json
import math
from dataclasses import replace

import pytest
import torch
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncM,
)
from nnunetv2.utilities.json_export import recursive_fix_for_json_export
from optional_networks import all_presets

from nnunet_mamba.planning.patches import network_divisor, nnunet_patch, rounded_patch, smaller_patches, with_patch
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.presets.preset import variants
from nnunet_mamba.training.generated_trainers import load_trainer

SPACINGS = {"2d": (1.0, 1.0), "3d": (2.5, 0.8, 0.8)}
MEDIANS = {"2d": (360, 300), "3d": (90, 200, 240)}


@pytest.fixture
def configuration_of(planned, monkeypatch):
    """Return what nnU-Net's own planner plans for images of a size and a GPU of so many GiB."""
    for variable, value in planned.environment(nnUNet_n_proc_DA="1").items():
        monkeypatch.setenv(variable, value)

    def plan(planner, dims, gibibytes):
        # Building U-Nets to count their feature maps would take minutes, and what they count does not matter here.
        per_voxel = {"2d": 2000, "3d": 200}[dims]
        monkeypatch.setattr(planner, "static_estimate_VRAM_usage", lambda _, patch, *__: per_voxel * math.prod(patch))
        made = planner(901, gpu_memory_target_in_gb=gibibytes)
        content = made.get_plans_for_configuration(SPACINGS[dims], MEDIANS[dims], "data", 1e9, {})
        recursive_fix_for_json_export(content)
        return json.loads(json.dumps(content))

    return plan


@pytest.mark.filterwarnings("ignore:WARNING")
@pytest.mark.parametrize("dims", ["2d", "3d"])
@pytest.mark.parametrize("planner", [ExperimentPlanner, nnUNetPlannerResEncM])
def test_smaller_patches_and_their_stages_are_those_of_nnunets_planner(configuration_of, planner, dims):
    large, small = configuration_of(planner, dims, 8), configuration_of(planner, dims, 0.5)
    assert small["patch_size"] != large["patch_size"]
    assert tuple(small["patch_size"]) in list(smaller_patches(large, tuple(large["patch_size"]), None))
    assert with_patch(large, tuple(small["patch_size"]))["architecture"] == small["architecture"]
    assert with_patch(small, tuple(large["patch_size"]))["architecture"] == large["architecture"]
    assert with_patch(large, tuple(large["patch_size"])) == large


def configuration(patch_size, median, spacing=None):
    """A configuration of the plans with the stages that its patch asks for."""
    dims = len(patch_size)
    stages = {"features_per_stage": [8], "n_conv_per_stage": [1], "n_conv_per_stage_decoder": [1]}
    content = {
        "patch_size": [0] * dims,
        "median_image_size_in_voxels": list(median),
        "spacing": list(spacing or (1.0,) * dims),
        "architecture": {"network_class_name": "", "arch_kwargs": stages, "_kw_requires_import": []},
    }
    return with_patch(content, tuple(patch_size))


@pytest.mark.parametrize("preset", all_presets())
@pytest.mark.parametrize("patch_size", [(96, 128), (8, 64, 64)], ids=["2d", "3d"])
def test_the_divisor_is_what_the_network_pads_to(preset, patch_size, monkeypatch):
    if len(patch_size) not in preset.spatial_dims:
        pytest.skip("the network exists in 2D alone")
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

    planned = configuration(patch_size, patch_size, (4.0, 1.0, 1.0)[3 - len(patch_size) :])
    divisor = network_divisor(preset, planned)
    with torch.device("meta"):
        network = load_trainer(preset.trainer).build_network_architecture(None, ConfigurationManager(planned), 1, 2)

    class PaddedError(Exception):
        pass

    def note(_, multiple):
        raise PaddedError(multiple)

    monkeypatch.setattr("nnunet_mamba.networks.segmentation_network.pad_to_multiple", note)
    with pytest.raises(PaddedError) as padded:
        network(torch.zeros(1, 1, *patch_size, device="meta"))
    assert padded.value.args == (divisor,)


def test_the_divisor_of_a_variant_is_that_of_its_own_network():
    preset = replace(PRESETS["ultralight_vm_unet"], variants=variants(shallow={"channels": (8, 16, 24, 32)}))
    planned = configuration((96, 128), (96, 128))
    assert network_divisor(preset, planned) == (32, 32)
    assert network_divisor(preset, planned, "shallow") == (8, 8)


def test_a_patch_grows_to_the_divisor_where_the_image_has_the_pixels():
    assert rounded_patch(configuration((48, 72), (200, 80)), (32, 32)) == (64, 72)
    assert rounded_patch(configuration((64, 96), (64, 90)), (32, 32)) == (64, 96)


@pytest.mark.parametrize("divisor", [(32, 32), (64, 64)])
def test_smaller_patches_of_a_padding_network_are_multiples_of_its_divisor(divisor):
    sizes = list(smaller_patches(configuration((256, 192), (256, 192)), (256, 192), divisor))
    areas = [height * width for height, width in [(256, 192), *sizes]]
    assert areas == sorted(set(areas), reverse=True)
    assert all(size[axis] % divisor[axis] == 0 for size in sizes for axis in range(2))
    assert sizes[-1] == divisor


def test_the_axis_that_shrinks_is_the_longest_beside_the_image():
    first = next(smaller_patches(configuration((64, 256), (64, 1024)), (64, 256), None))
    assert first == (56, 256)


def test_nnunet_pads_a_patch_to_its_poolings():
    assert nnunet_patch(configuration((100, 100), (100, 100)), (100, 90)) == (112, 96)
