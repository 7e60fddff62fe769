import os
import subprocess
import sys

import pytest

from nnunet_mamba.planning.batch_size import given_batch
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.patches import with_patch
from nnunet_mamba.planning.training_step import (
    StepFailedError,
    StepRequest,
    StepTooLarge,
    measure_step,
    trainer_class,
)

LABELS = {
    "labels": {"labels": {"background": 0, "a": 1}},
    "regions": {"labels": {"background": 0, "whole": [1, 2], "core": [2, 2]}, "regions_class_order": [1, 2]},
    "regions and ignore": {
        "labels": {"background": 0, "whole": [1, 2], "core": [2, 2], "ignore": 3},
        "regions_class_order": [1, 2],
    },
}
BUDGET = Budget(device="cpu", size=8 * GIB)


def request(trainer, patch_size, batch_size, *, features=32, labels="labels"):
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
    return StepRequest(
        trainer=f"nnUNetTrainer{trainer}",
        plans={
            "dataset_name": "Dataset901_Tiny",
            "plans_name": "nnUNetPlans",
            "label_manager": "LabelManager",
            "configurations": {name: with_patch(content, patch_size)},
        },
        configuration=name,
        dataset_json={"channel_names": channels, "numTraining": 10, "file_ending": ".png", **LABELS[labels]},
    )


@pytest.mark.parametrize("labels", LABELS)
def test_a_step_is_measured_without_a_trace(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    small = measure_step(request("UMambaBot", (16, 16), 2, features=4, labels=labels), BUDGET)
    assert 0 < small.before < small.peak < GIB * 3
    assert os.environ == environment
    assert list(tmp_path.iterdir()) == []


def test_more_memory_for_more_pixels():
    small, large = (measure_step(request("UltraLightVM", (side, side), 4), BUDGET) for side in (32, 256))
    # Eight channels at full resolution, kept for the gradients, at 4 bytes each.
    assert large.peak - small.peak > 4 * 8 * 4 * (256**2 - 32**2)


def test_a_step_far_above_the_budget_is_stopped():
    refused = measure_step(request("UltraLightVM", (512, 512), 16), Budget(device="cpu", size=GIB // 4))
    assert isinstance(refused, StepTooLarge)
    assert "memory" in refused.words


def test_a_killed_process_is_one_for_which_there_was_not_enough_memory(monkeypatch):
    from nnunet_mamba.planning import training_step

    monkeypatch.setattr(training_step, "_report_step", _die)
    assert measure_step(request("UltraLightVM", (32, 32), 2), BUDGET) == StepTooLarge()


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "FIND was unable to find an engine to execute this computation",
        "GET was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_on_cuda_no_room_for_a_workspace_is_too_little_memory(monkeypatch, tmp_path, words):
    from nnunet_mamba.planning import training_step

    # It belongs into a process of its own.
    monkeypatch.setattr(training_step, "_OOM_SCORE", tmp_path / "oom_score_adj")
    for variable in ("nnUNet_preprocessed", "nnUNet_results", "nnUNet_compile"):
        monkeypatch.setenv(variable, "")

    def fail(*_):
        raise RuntimeError(words)

    monkeypatch.setattr(training_step, "train_steps", fail)
    for device, expected in [
        ("cuda", StepTooLarge(words=f"RuntimeError: {words}")),
        ("cpu", f"RuntimeError: {words}"),
    ]:
        answers = Answers()
        budget = Budget(device=device, size=GIB)
        training_step._report_step(answers, request("UltraLightVM", (32, 32), 2), budget, folder="", is_fork=False)
        assert answers.sent == [expected]


class Answers:
    def __init__(self):
        self.sent = []

    def send(self, answer):
        self.sent.append(answer)


@pytest.mark.parametrize("most", [2**30, 2**50])
def test_a_limit_that_nobody_may_lift_is_kept(most):
    """In a process of its own, which cannot lift it again either."""
    code = f"""
import resource
from nnunet_mamba.planning import training_step
from nnunet_mamba.planning.memory import Budget
resource.setrlimit(resource.RLIMIT_DATA, ({most}, {most}))
training_step._reset_peak(Budget(device="cpu", size=2**40))
print(*resource.getrlimit(resource.RLIMIT_DATA))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    soft, hard = map(int, process.stdout.split())
    assert hard == most
    assert soft == most if most < 2**40 else 2**40 < soft < 2**41


def test_another_death_is_an_error(monkeypatch):
    from nnunet_mamba.planning import training_step

    monkeypatch.setattr(training_step, "_report_step", _leave)
    with pytest.raises(StepFailedError, match="exit code 3"):
        measure_step(request("UltraLightVM", (32, 32), 2), BUDGET)


def _die(sender, *_, **__):
    os.kill(os.getpid(), 9)


def _leave(sender, *_, **__):
    os._exit(3)


def test_what_the_network_refuses_is_said_in_its_words():
    with pytest.raises(StepFailedError, match=r"single position at the deepest stage"):
        measure_step(request("UMambaBotTumour", (16, 16), 2), BUDGET)


def test_an_unknown_trainer_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"nnUNetTrainerVMUnet: unknown; choose one of .*Did you mean nnUNetTrainerVMUNet\?"
    ):
        trainer_class("nnUNetTrainerVMUnet")
    assert trainer_class("nnUNetTrainerVMUNet_3epochs").epochs_of_name == 3


@pytest.mark.parametrize(
    ("trainer", "patch_size", "batch_size"),
    [
        pytest.param("UltraLightVM", (128, 128), 16, marks=pytest.mark.slow),
        pytest.param("UMambaBotPP", (96, 96), 16, marks=pytest.mark.slow),
        pytest.param("UltraLBM", (128, 128), 16, marks=pytest.mark.long),
        pytest.param("VMUNet", (128, 128), 6, marks=pytest.mark.long),
        pytest.param("UMambaBot", (96, 96), 16, marks=pytest.mark.long),
        pytest.param("UMambaEnc", (96, 96), 16, marks=pytest.mark.long),
        pytest.param("UltraLightVM", (16, 48, 48), 12, marks=pytest.mark.long),
        pytest.param("UMambaBot", (16, 48, 48), 6, marks=pytest.mark.long),
    ],
)
def test_the_estimate_from_smaller_batches_is_within_15_percent_of_the_step(trainer, patch_size, batch_size):
    memories = {}

    def peak(size):
        memories[size] = measure_step(request(trainer, patch_size, size), BUDGET)
        return memories[size].peak

    found = given_batch(peak, batch_size)
    # Of what the step adds to a process that has loaded all libraries, which is stricter than of the sum.
    before = memories[batch_size].before
    assert found.estimate - before == pytest.approx(found.measured - before, rel=0.15)
