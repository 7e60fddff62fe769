"""Trainings of two processes that talk through Gloo, as nnU-Net starts them for GPUs that talk through NCCL."""

import re
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer
from torch.nn.parallel import DistributedDataParallel

from nnunet_mamba.results.checkpoints import LATEST
from nnunet_mamba.training.generated_trainers import trainer_with_budget
from nnunet_mamba.training.guarded_trainer import MOST_SKIPPED_STEPS
from nnunet_mamba.training.sentinel import TrainingStoppedError

NAN = float("nan")


def trainer_of_a_process(rank, folder, arguments, name):
    """What nnU-Net builds in a process of several, but on the CPU."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    nnUNetTrainer.DDP = lambda network, device_ids: DistributedDataParallel(network)
    arguments["plans"]["continue_training"] = False
    trainer = trainer_with_budget(name)(**arguments)
    trainer.device, trainer.grad_scaler = torch.device("cpu"), None
    trainer.initialize()
    trainer.network.train()
    return trainer


def batch(trainer, rank):
    patch = trainer.configuration_manager.patch_size
    size = trainer.configuration_manager.batch_size
    generator = torch.Generator().manual_seed(rank)
    return {
        "data": torch.randn(size, 3, *patch, generator=generator),
        "target": torch.randint(0, 2, (size, 1, *patch), generator=generator),
        "keys": [f"case_of_{rank}"],
    }


def weights(trainer):
    return torch.cat([parameter.detach().flatten() for parameter in trainer.network.parameters()])


def nan_in_one_batch(rank, folder, arguments, name):
    trainer = trainer_of_a_process(rank, folder, arguments, name)
    sound, images, layer, gradient = (batch(trainer, rank) for _ in range(4))
    losses = [trainer.train_step(sound)["loss"]]
    before = weights(trainer)
    if rank == 1:
        images["data"][0, 0, 0, 0] = NAN
    losses.append(trainer.train_step(images)["loss"])
    head = trainer.bare_network.decoder.seg_layers[-1]
    hook = head.register_forward_hook(lambda *values: values[2] * NAN) if rank == 1 else None
    losses.append(trainer.train_step(layer)["loss"])
    if hook:
        hook.remove()
        hook = head.register_forward_hook(lambda *values: values[2].register_hook(lambda dy: dy * NAN) and None)
    losses.append(trainer.train_step(gradient)["loss"])
    if hook:
        hook.remove()
    unchanged = torch.equal(weights(trainer), before)
    losses.append(trainer.train_step(sound)["loss"])
    torch.save((losses, unchanged, weights(trainer), trainer.log_file), folder / f"{rank}.pth")
    dist.destroy_process_group()


def too_many_in_a_row(rank, folder, arguments, name):
    trainer = trainer_of_a_process(rank, folder, arguments, name)
    if rank == 0:
        write = trainer.save_checkpoint
        trainer.save_checkpoint = lambda name: time.sleep(1) or write(name)
    broken = batch(trainer, rank)
    if rank == 1:
        broken["data"][:] = NAN
    text = "went on"
    try:
        for _ in range(MOST_SKIPPED_STEPS + 1):
            trainer.train_step(broken)
    except TrainingStoppedError as error:
        text = str(error)
    is_written = (Path(trainer.output_folder) / LATEST).exists()
    torch.save((text, is_written), folder / f"{rank}.pth")
    dist.destroy_process_group()


@pytest.fixture
def run_in_two_processes(build_trainer, tmp_path):
    """Run a function in two processes, each with what a trainer is made of, and return what they saved."""

    def run(function, name):
        arguments = dict(build_trainer(name).my_init_kwargs)
        torch.multiprocessing.spawn(function, args=(tmp_path, arguments, name), nprocs=2)
        return [torch.load(tmp_path / f"{rank}.pth", weights_only=False) for rank in range(2)]

    return run


@pytest.mark.parametrize("name", ["nnUNetTrainerUltraLightVM_1epoch", "nnUNetTrainerUMambaBotTumour_1epoch"])
def test_all_skip_a_step_that_is_not_finite_in_one_and_the_log_names_that_one(run_in_two_processes, name):
    (losses, unchanged, ends, log_file), (other_losses, other_unchanged, other_ends, _) = run_in_two_processes(
        nan_in_one_batch, name
    )

    for values in (losses, other_losses):
        assert [bool(torch.tensor(value).isfinite()) for value in values] == [True, False, False, False, True]
    assert unchanged
    assert other_unchanged
    assert torch.equal(ends, other_ends)
    steps = re.split(r"Epoch 0: ", Path(log_file).read_text())[1:]
    assert len(steps) == 3
    assert "the loss is nan in process 1. The images themselves hold values" in steps[0]
    assert "the loss is nan in process 1. Cases of this batch: case_of_1." in steps[1]
    assert "gradients are not finite. Cases of this batch: case_of_0, case_of_1." in steps[2]
    assert not any("case_of_0" in step for step in steps[:2])


def test_none_ends_before_the_checkpoint_is_written(run_in_two_processes):
    for text, is_written in run_in_two_processes(too_many_in_a_row, "nnUNetTrainerUltraLightVM_1epoch"):
        assert "(the loss is nan in process 1)" in text
        assert is_written
