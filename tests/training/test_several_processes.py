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
from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes
from nnunet_mamba.training.guarded_trainer import MOST_SKIPPED_STEPS
from nnunet_mamba.training.sentinel import TrainingStoppedError

NAN = float("nan")


def trainer_of_a_process(arguments, name):
    """What nnU-Net builds in a process of several, but on the CPU."""
    # nnU-Net takes the entry out.
    plans = {**arguments["plans"], "continue_training": False}
    trainer = load_trainer_with_suffixes(name)(**{**arguments, "plans": plans})
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


def nan_in_one_batch(trainer, rank):
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
    return losses, unchanged, weights(trainer), trainer.log_file


def too_many_in_a_row(trainer, rank):
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
    return text, is_written


def averaging(trainer, rank):
    for _ in range(3):
        trainer.train_step(batch(trainer, rank))
    trained = weights(trainer)
    trainer.save_checkpoint(str(Path(trainer.output_folder) / LATEST))
    trainer.on_validation_epoch_start()
    averages = weights(trainer)
    trainer.on_validation_epoch_end([trainer.validation_step(batch(trainer, rank))])
    is_back = torch.equal(weights(trainer), trained)
    return trained, averages, is_back, Path(trainer.output_folder) / LATEST


# One pair of processes does all of it, since starting them takes longer than the trainings.
WHAT_PROCESSES_DO = [
    (nan_in_one_batch, "nnUNetTrainerUltraLightVM_1epoch"),
    (nan_in_one_batch, "nnUNetTrainerUMambaBotTumour_1epoch"),
    (too_many_in_a_row, "nnUNetTrainerUltraLightVM_2epochs"),
    (averaging, "nnUNetTrainerUltraLightVM_robust_1epoch"),
]


def work(rank, folder, arguments):
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    nnUNetTrainer.DDP = lambda network, device_ids: DistributedDataParallel(network)
    found = [function(trainer_of_a_process(arguments, name), rank) for function, name in WHAT_PROCESSES_DO]
    torch.save(found, folder / f"{rank}.pth")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(trainers_in, tmp_path_factory):
    """What both processes found: for each entry of ``WHAT_PROCESSES_DO`` the answers of the first and the second."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        arguments = dict(trainers_in(folder, patch)("nnUNetTrainerUltraLightVM_1epoch").my_init_kwargs)
        torch.multiprocessing.spawn(work, args=(folder, arguments), nprocs=2)
    first, second = (torch.load(folder / f"{rank}.pth", weights_only=False) for rank in range(2))
    return list(zip(first, second, strict=True))


@pytest.mark.parametrize("job", [0, 1], ids=["shared Mamba", "U-Mamba"])
def test_all_skip_a_step_that_is_not_finite_in_one_and_the_log_names_that_one(found, job):
    (losses, unchanged, ends, log_file), (other_losses, other_unchanged, other_ends, _) = found[job]

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


def test_all_validate_with_the_same_average_and_the_first_writes_it(found):
    (trained, averages, is_back, checkpoint), (other_trained, other_averages, other_is_back, _) = found[3]
    assert torch.equal(trained, other_trained)
    assert torch.equal(averages, other_averages)
    assert not torch.equal(averages, trained)
    assert is_back
    assert other_is_back
    stored = torch.load(checkpoint, weights_only=False)
    kept = stored["optimizer_state"]["averaging"]["training_weights"]
    assert torch.equal(torch.cat([value.flatten() for value in kept.values()]), trained)
    assert torch.equal(torch.cat([stored["network_weights"][name].flatten() for name in kept]), averages)


def test_none_ends_before_the_checkpoint_is_written(found):
    for text, is_written in found[2]:
        assert "(the loss is nan in process 1)" in text
        assert is_written
