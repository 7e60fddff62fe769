import os
from types import SimpleNamespace

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.planning import step_process
from nnunet_mamba.planning.batch_size import given_batch
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.step_process import StepTooLarge, TrainingStepError, measure_step
from nnunet_mamba.planning.training_step import StepMemory

BUDGET = Budget(device="cpu", size=8 * GIB)


@pytest.fixture(scope="module")
def small(step_request, tmp_path_factory):
    """The memory of a small step, and what its measurement has left in this process and its working directory."""
    folder, environment = tmp_path_factory.mktemp("working"), dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        memory = measure_step(step_request("UltraLightVM", (32, 32), 4), BUDGET)
    return SimpleNamespace(memory=memory, files=list(folder.iterdir()), kept=dict(os.environ) == environment)


def test_a_step_is_measured_without_a_trace(small):
    assert 0 < small.memory.before < small.memory.peak < GIB * 3
    assert small.kept
    assert small.files == []


def test_more_memory_for_more_pixels(small, step_request):
    large = measure_step(step_request("UltraLightVM", (256, 256), 4), BUDGET)
    # Eight channels at full resolution, kept for the gradients, at 4 bytes each.
    # Less what the process had before: the first one may have compiled kernels, whose memory it keeps.
    taken_by_large, taken_by_small = (memory.peak - memory.before for memory in (large, small.memory))
    assert taken_by_large - taken_by_small > 4 * 8 * 4 * (256**2 - 32**2)


def test_a_step_far_above_the_budget_is_stopped(step_request):
    refused = measure_step(step_request("UltraLightVM", (512, 512), 16), Budget(device="cpu", size=GIB // 4))
    assert isinstance(refused, StepTooLarge)
    assert "memory" in refused.words


def _die(sender, *_, **__):
    os.kill(os.getpid(), 9)


def _leave(sender, *_, **__):
    os._exit(3)


def _refuse(sender, *_, **__):
    sender.send("ValueError: made up")


def test_a_killed_process_is_one_for_which_there_was_not_enough_memory(step_request, monkeypatch):
    monkeypatch.setattr(step_process, "_report_step", _die)
    assert measure_step(step_request("UltraLightVM", (32, 32), 2), BUDGET) == StepTooLarge()


@pytest.mark.parametrize(("end", "text"), [(_leave, "exit code 3"), (_refuse, "^ValueError: made up$")])
def test_another_end_is_an_error(step_request, monkeypatch, end, text):
    monkeypatch.setattr(step_process, "_report_step", end)
    with pytest.raises(TrainingStepError, match=text):
        measure_step(step_request("UltraLightVM", (32, 32), 2), BUDGET)


@pytest.fixture
def answer(monkeypatch, tmp_path):
    """What the measuring process answers, asked in this one."""
    monkeypatch.setattr(step_process, "_OOM_SCORE", tmp_path / "oom_score_adj")
    for variable in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, "")
    # A GPU that nobody else uses.
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * GIB, 2 * GIB))

    def ask(request, device):
        sent = []
        sender, budget = SimpleNamespace(send=sent.append), Budget(device=device, size=GIB)
        step_process._report_step(sender, request, budget, folder=str(tmp_path), is_fork=False)
        (one,) = sent
        return one

    return ask


@pytest.mark.parametrize(
    "words",
    ["GET was unable to find an engine to execute this computation", "Unable to find a valid cuDNN algorithm to run"],
)
def test_on_cuda_no_room_for_a_workspace_is_too_little_memory(answer, step_request, monkeypatch, words):
    def fail(*_):
        raise RuntimeError(words)

    monkeypatch.setattr(step_process, "train_steps", fail)
    request = step_request("UltraLightVM", (32, 32), 2)
    assert answer(request, "cuda") == StepTooLarge(words=f"RuntimeError: {words}")
    assert answer(request, "cpu") == f"RuntimeError: {words}"


def test_a_step_for_which_others_have_taken_the_memory_is_not_said_to_be_too_large(answer, step_request, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(step_process, "train_steps", fail)
    request = step_request("UltraLightVM", (32, 32), 2)
    assert isinstance(answer(request, "cuda"), StepTooLarge)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (GIB // 2, 2 * GIB))
    assert "of the 1.0 GiB to plan for, 0.5 are left" in answer(request, "cuda")


@pytest.mark.parametrize("said", [None, "f", "t"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_step_is_compiled_where_the_training_is(answer, step_request, monkeypatch, said, device):
    def compiles():
        # nnU-Net's trainer asks itself so.
        training = SimpleNamespace(device=torch.device(device), print_to_log_file=lambda text: None)
        return nnUNetTrainer._do_i_compile(training)

    monkeypatch.delenv("nnUNet_compile", raising=False)
    if said:
        monkeypatch.setenv("nnUNet_compile", said)
    in_training, in_step = compiles(), []
    monkeypatch.setattr(
        step_process, "train_steps", lambda *_: in_step.append(compiles()) or StepMemory(peak=1, before=0)
    )
    answer(step_request("UltraLightVM", (32, 32), 2), device)
    assert in_step == [in_training]


def test_what_the_network_refuses_is_said_in_its_words(answer, step_request, monkeypatch):
    monkeypatch.setattr("nnunet_mamba.planning.training_step.reset_peak", lambda _: None)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    assert "single position at the deepest stage" in answer(step_request("UMambaBotTumour", (16, 16), 2), "cpu")


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
def test_the_estimate_from_smaller_batches_is_within_15_percent_of_the_step(
    step_request, trainer, patch_size, batch_size
):
    memories = {}

    def peak(size):
        memories[size] = measure_step(step_request(trainer, patch_size, size), BUDGET)
        return memories[size].peak

    found = given_batch(peak, batch_size)
    # Of what the step adds to a process that has loaded all libraries, which is stricter than of the sum.
    before = memories[batch_size].before
    assert found.estimate - before == pytest.approx(found.measured - before, rel=0.15)
