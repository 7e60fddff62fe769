import json
import math

import pytest

from nnunet_mamba.planning import trainer_plans
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import MARK
from nnunet_mamba.planning.resolved_trainer import resolve_trainers
from nnunet_mamba.planning.step_process import TrainingStepError
from nnunet_mamba.planning.trainer_plans import plan_trainer
from nnunet_mamba.planning.training_step import StepMemory

NAME = "nnUNetTrainerUMambaBot"


@pytest.fixture
def plan(made_up_base, tmp_path, monkeypatch):
    """Plan both configurations in a folder of its own, with a made-up training step of 8 bytes for each voxel."""

    def step(request, _):
        made = request.plans["configurations"][request.configuration]
        return StepMemory(peak=8 * math.prod(made["patch_size"]) * made["batch_size"], before=0)

    monkeypatch.setattr(trainer_plans, "measure_step", step)
    monkeypatch.chdir(tmp_path)
    made_up_base.folder.mkdir()
    (trainer,) = resolve_trainers([NAME], made_up_base)
    budget = Budget(device="cpu", size=GIB)

    def run(*configurations, **options):
        return plan_trainer(
            trainer, configurations, budget=budget, **{"request": PlanningRequest(), "writes": True, **options}
        )

    return run


def test_returns_what_it_did_and_writes_one_file(plan, made_up_base):
    told = []
    done = plan("2d", "3d_fullres", on_progress=lambda n_planned, text: told.append((n_planned, text)))
    assert [planned.name for planned in done.configurations] == ["2d", "3d_fullres"]
    assert done.file == made_up_base.folder / "nnUNetUMambaBotPlans.json"
    written = json.loads(done.file.read_text())
    for planned in done.configurations:
        assert written["configurations"][planned.name] == planned.content
        assert written[MARK]["configurations"][planned.name] == {
            "trainer": NAME,
            "device": "cpu",
            "limited_by": planned.reason,
            "memory_budget": GIB,
            "memory_estimated": planned.memory.estimate,
            "memory_measured": planned.memory.measured,
        }
    assert told[0] == (0, f"{NAME} 2d: 2 × 192×256")
    assert [n_planned for n_planned, _ in told] == sorted(n_planned for n_planned, _ in told)
    assert told[-1][0] == 1


def test_a_dry_run_writes_nothing(plan, made_up_base):
    assert plan("2d", writes=False).file is None
    assert list(made_up_base.folder.iterdir()) == []


def test_a_failure_writes_nothing(plan, made_up_base, monkeypatch):
    def fail(request, _):
        raise TrainingStepError("made up")

    monkeypatch.setattr(trainer_plans, "measure_step", fail)
    with pytest.raises(TrainingStepError, match="made up"):
        plan("2d")
    assert list(made_up_base.folder.iterdir()) == []


def test_says_how_to_train(plan):
    assert plan("2d").training_commands() == [f"nnUNetv2_train 901 2d 0 -tr {NAME} -p nnUNetUMambaBotPlans -device cpu"]
