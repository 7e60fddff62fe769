import math

import pytest

from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.patches import with_patch
from nnunet_mamba.planning.planner import five_percent, plan_configuration
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.resolved_trainer import resolve_trainers
from nnunet_mamba.planning.step_process import StepTooLarge
from nnunet_mamba.planning.training_step import StepMemory

PLANNED, FIXED = "nnUNetTrainerUMambaBot", "nnUNetTrainerVMUNet"
CONSTANT = 1000


@pytest.fixture
def measured():
    return []


@pytest.fixture
def plan(made_up_base, measured):
    def step(request, _):
        made = request.plans["configurations"][request.configuration]
        measured.append((tuple(made["patch_size"]), made["batch_size"]))
        return StepMemory(peak=CONSTANT + math.prod(made["patch_size"]) * made["batch_size"], before=CONSTANT)

    def run(trainer, name, n_pixels, **request):
        budget = Budget(device="cpu", size=CONSTANT + n_pixels)
        (resolved,) = resolve_trainers([trainer], made_up_base)
        return plan_configuration(resolved, name, budget=budget, request=PlanningRequest(**request), measure=step)

    return run


@pytest.mark.parametrize("trainer", [PLANNED, FIXED])
def test_the_batch_fills_the_memory_and_all_else_stays(plan, made_up_base, trainer):
    done = plan(trainer, "2d", 20.5 * 192 * 256)
    assert done.content == {**made_up_base.configurations["2d"], "batch_size": 20}
    assert (done.reason, done.warnings) == ("memory", ())
    assert done.memory.measured == CONSTANT + 20 * 192 * 256


def test_no_batch_holds_more_than_five_percent_of_the_voxels(plan, made_up_base):
    # Slices are of all volumes: 100 of them with 64 slices each.
    assert five_percent(made_up_base, "2d", (192, 256)) == round(0.05 * 100 * 64)
    # nnU-Net takes the nearest whole number: 189.6 patches have five per cent of the voxels.
    assert five_percent(made_up_base, "2d", (288, 288)) == 190
    assert five_percent(made_up_base, "3d_fullres", (32, 96, 96)) == round(0.05 * 100 * 64 * 192 * 256 / (32 * 96 * 96))
    del made_up_base.plans["configurations"]["3d_fullres"]
    assert five_percent(made_up_base, "2d", (192, 256)) == 5
    assert five_percent(made_up_base, "2d", (960, 1280)) == 2
    done = plan(PLANNED, "2d", 10**9)
    assert (done.memory.batch_size, done.reason) == (5, "5 % rule")


def test_no_batch_is_larger_than_the_recipes(plan, monkeypatch):
    from nnunet_mamba.planning.trainer_lookup import trainer_class

    recipe = type("Recipe", (), {"largest_batch_size": 8})
    monkeypatch.setattr(trainer_class(PLANNED), "recipe", recipe)
    done = plan(PLANNED, "2d", 10**9)
    assert (done.memory.batch_size, done.reason) == (8, "recipe")


@pytest.mark.parametrize(
    ("trainer", "name", "patch_size"),
    [(PLANNED, "2d", (112, 160)), (FIXED, "2d", (128, 128)), (PLANNED, "3d_fullres", (24, 48, 64))],
)
def test_the_patch_shrinks_until_two_fit(plan, made_up_base, measured, trainer, name, patch_size):
    room = 2 * math.prod(patch_size)
    done = plan(trainer, name, room)
    taken = tuple(done.content["patch_size"])
    assert math.prod(taken) <= math.prod(patch_size)
    assert (done.memory.batch_size, done.reason) == (2, "memory")
    assert done.content == {**with_patch(made_up_base.configurations[name], taken), "batch_size": 2}
    if trainer == FIXED:
        assert all(size % 32 == 0 for size in taken)
    strides = done.content["architecture"]["arch_kwargs"]["strides"]
    assert all(size % math.prod(factors) == 0 for size, factors in zip(taken, zip(*strides, strict=True), strict=True))
    assert len(measured) < 8


def test_no_patch_small_enough_is_an_error(plan):
    with pytest.raises(ValueError, match=r"no patch from 192×256 down to \d+×\d+ fits; allow more `memory`"):
        plan(PLANNED, "2d", 10)


def test_what_the_smallest_step_said_is_in_the_error(made_up_base):
    words = "RuntimeError: GET was unable to find an engine to execute this computation"

    def step(request, _):
        return StepTooLarge(words=f"{words}\nat some line")

    budget = Budget(device="cuda", size=10**9)
    (trainer,) = resolve_trainers([PLANNED], made_up_base)
    with pytest.raises(ValueError, match=rf"fits \(the last step said: {words}\)"):
        plan_configuration(trainer, "2d", budget=budget, request=PlanningRequest(), measure=step)
    request = PlanningRequest(batch_size=2, patch_size=(64, 64))
    (warning,) = plan_configuration(trainer, "2d", budget=budget, request=request, measure=step).warnings
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
