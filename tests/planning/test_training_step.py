import math

import pytest
import torch

from nnunet_mamba.planning import training_step
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.training_step import N_STEPS, StepMemory, train_steps
from nnunet_mamba.training.preset_trainer import PresetTrainer

REGIONS = {"background": 0, "whole": [1, 2], "core": [2, 2]}
DATASETS = {
    "labels": {"labels": {"background": 0, "a": 1}},
    "regions": {"labels": REGIONS, "regions_class_order": [1, 2]},
    "regions and ignore": {"labels": {**REGIONS, "ignore": 3}, "regions_class_order": [1, 2]},
}


@pytest.fixture
def losses(tmp_path, monkeypatch):
    """The losses of the steps that are trained in this process, of which they change nothing."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(training_step, "reset_peak", lambda _: None)
    readings = iter((3, 5))
    monkeypatch.setattr(training_step, "peak_memory", lambda _: next(readings))
    train, losses = PresetTrainer.train_step, []

    def note_loss(trainer, batch):
        outputs = train(trainer, batch)
        losses.append(float(outputs["loss"]))
        return outputs

    monkeypatch.setattr(PresetTrainer, "train_step", note_loss)
    return losses


@pytest.mark.parametrize(
    "trainer",
    ["UltraLightVM", "UMambaBot", "UltraLBMTDistill"],
    ids=["one output", "deep supervision", "untrained teacher"],
)
@pytest.mark.parametrize("dataset", DATASETS)
def test_trains_with_all_kinds_of_labels(step_request, losses, dataset, trainer):
    request = step_request(trainer, (32, 32), 2, features=4, labels=DATASETS[dataset])
    assert train_steps(request, Budget(device="cpu", size=8 * GIB)) == StepMemory(before=3, peak=5)
    assert len(losses) == N_STEPS
    assert all(map(math.isfinite, losses))
