import math
from pathlib import Path

import pytest

from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.patches import with_patch
from nnunet_mamba.planning.planner import Wishes, five_percent, plan_configuration, suitable_configurations
from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.training_step import StepMemory, StepTooLarge

PLANNED, FIXED = "nnUNetTrainerUMambaBot", "nnUNetTrainerVMUNet"
CONSTANT = 1000


def configuration(patch_size, median):
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
def base():
    configurations = {
        "2d": configuration((192, 256), (192, 256)),
        "3d_fullres": configuration((32, 96, 96), (64, 192, 256)),
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    }
    plans = {"dataset_name": "Dataset901_Tiny", "plans_name": "nnUNetPlans", "configurations": configurations}
    return BasePlans(folder=Path("Dataset901_Tiny"), plans=plans, dataset_json={"numTraining": 100})


@pytest.fixture
def measured():
    return []


@pytest.fixture
def plan(base, measured):
    def step(request, _):
        made = request.plans["configurations"][request.configuration]
        measured.append((tuple(made["patch_size"]), made["batch_size"]))
        return StepMemory(peak=CONSTANT + math.prod(made["patch_size"]) * made["batch_size"], before=CONSTANT)

    def run(trainer, name, n_pixels, **wishes):
        budget = Budget(device="cpu", size=CONSTANT + n_pixels)
        return plan_configuration(base, trainer, name, budget=budget, wishes=Wishes(**wishes), measure=step)

    return run


@pytest.mark.parametrize("trainer", [PLANNED, FIXED])
def test_the_batch_fills_the_memory_and_all_else_stays(plan, base, trainer):
    done = plan(trainer, "2d", 20.5 * 192 * 256)
    assert done.content == {**base.plans["configurations"]["2d"], "batch_size": 20}
    assert (done.reason, done.warnings) == ("memory", ())
    assert done.memory.measured == CONSTANT + 20 * 192 * 256


def test_no_batch_holds_more_than_five_percent_of_the_voxels(plan, base):
    # Slices are of all volumes: 100 of them with 64 slices each.
    assert five_percent(base, "2d", (192, 256)) == round(0.05 * 100 * 64)
    assert five_percent(base, "3d_fullres", (32, 96, 96)) == round(0.05 * 100 * 64 * 192 * 256 / (32 * 96 * 96))
    del base.plans["configurations"]["3d_fullres"]
    assert five_percent(base, "2d", (192, 256)) == 5
    assert five_percent(base, "2d", (960, 1280)) == 2
    done = plan(PLANNED, "2d", 10**9)
    assert (done.memory.batch_size, done.reason) == (5, "5 % rule")


def test_no_batch_is_larger_than_the_recipes(plan, monkeypatch):
    from nnunet_mamba.planning.training_step import trainer_class

    recipe = type("Recipe", (), {"largest_batch_size": 8})
    monkeypatch.setattr(trainer_class(PLANNED), "recipe", recipe)
    done = plan(PLANNED, "2d", 10**9)
    assert (done.memory.batch_size, done.reason) == (8, "recipe")


@pytest.mark.parametrize(
    ("trainer", "name", "patch_size"),
    [(PLANNED, "2d", (112, 160)), (FIXED, "2d", (128, 128)), (PLANNED, "3d_fullres", (24, 48, 64))],
)
def test_the_patch_shrinks_until_two_fit(plan, base, measured, trainer, name, patch_size):
    room = 2 * math.prod(patch_size)
    done = plan(trainer, name, room)
    taken = tuple(done.content["patch_size"])
    assert math.prod(taken) <= math.prod(patch_size)
    assert (done.memory.batch_size, done.reason) == (2, "memory")
    assert done.content == {**with_patch(base.plans["configurations"][name], taken), "batch_size": 2}
    if trainer == FIXED:
        assert all(size % 32 == 0 for size in taken)
    strides = done.content["architecture"]["arch_kwargs"]["strides"]
    assert all(size % math.prod(by) == 0 for size, by in zip(taken, zip(*strides, strict=True), strict=True))
    assert len(measured) < 8


def test_no_patch_small_enough_is_an_error(plan):
    with pytest.raises(ValueError, match=r"no patch from 192×256 down to \d+×\d+ fits.*--memory"):
        plan(PLANNED, "2d", 10)


def test_what_the_smallest_step_said_is_in_the_error(base):
    words = "RuntimeError: GET was unable to find an engine to execute this computation"

    def step(request, _):
        return StepTooLarge(words=f"{words}\nat some line")

    budget = Budget(device="cuda", size=10**9)
    with pytest.raises(ValueError, match=rf"fits \(the last step said: {words}\); pass more --memory"):
        plan_configuration(base, PLANNED, "2d", budget=budget, wishes=Wishes(), measure=step)
    wishes = Wishes(batch_size=2, patch_size=(64, 64))
    (warning,) = plan_configuration(base, PLANNED, "2d", budget=budget, wishes=wishes, measure=step).warnings
    assert f"a batch of 2 takes more than there is (the last step said: {words}), the budget" in warning


def test_what_is_set_by_hand_is_taken_with_a_warning(plan):
    done = plan(PLANNED, "2d", 3 * 64 * 64, batch_size=400, patch_size=(64, 64))
    assert (done.content["patch_size"], done.content["batch_size"], done.reason) == ([64, 64], 400, "by hand")
    assert done.memory.estimate == done.memory.measured == CONSTANT + 400 * 64 * 64
    (memory,) = done.warnings
    assert "a batch of 400 takes" in memory

    share, memory = plan(PLANNED, "2d", 10, batch_size=400).warnings
    assert "more than 5 %" in share
    assert "nnU-Net would take 320" in share


def test_a_patch_by_hand_is_kept_where_two_do_not_fit(plan):
    done = plan(PLANNED, "2d", 64 * 64, patch_size=(64, 64))
    assert (done.content["patch_size"], done.content["batch_size"], done.reason) == ([64, 64], 2, "memory")
    assert len(done.warnings) == 1


def test_configurations_that_suit_network_and_patch(base):
    assert suitable_configurations(base, PLANNED, (), Wishes()) == ["2d", "3d_fullres"]
    assert suitable_configurations(base, FIXED, (), Wishes()) == ["2d"]
    assert suitable_configurations(base, PLANNED, (), Wishes(patch_size=(8, 8, 8))) == ["3d_fullres"]


@pytest.mark.parametrize(
    ("trainer", "asked", "wishes", "text"),
    [
        (FIXED, "3d_fullres", {}, r"3d_fullres has 3 axes: nnUNetTrainerVMUNet trains 2D; leave it out"),
        (PLANNED, "2d", {"patch_size": (8, 8, 8)}, r"2d has 2 axes: .*--patch-size has 3 numbers"),
        (PLANNED, "3d_lowres", {}, r"3d_lowres: nnUNetPlans can be planned anew for 2d, 3d_fullres"),
        (PLANNED, "3d_cascade_fullres", {}, r"can be planned anew for 2d, 3d_fullres"),
        ("nnUNetTrainerX", "2d", {}, r"--trainer nnUNetTrainerX: unknown; choose one of nnUNetTrainerUMambaBot,"),
    ],
)
def test_configurations_that_do_not_suit_are_refused(base, trainer, asked, wishes, text):
    with pytest.raises(ValueError, match=text):
        suitable_configurations(base, trainer, (asked,), Wishes(**wishes))
