import json
import random

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes
from nnunet_mamba.training.seed_choice import SEED_VARIABLE
from nnunet_mamba.training.seeding import seed_process, seeded_loaders

# A name whose augmentation draws from numpy and from torch.
NAME = "nnUNetTrainerUltraLightVM_robust_3epochs_1iteration"


@pytest.fixture
def batches(planned, monkeypatch):
    """Return what gives a seeded training's first weights, and its batches in training and in validation."""
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)
    plans = json.loads((planned.preprocessed / "nnUNetPlans.json").read_text())
    plans["configurations"]["2d"]["batch_size"] = 2
    dataset = json.loads((planned.preprocessed / "dataset.json").read_text())

    def of(seed, *, epoch=0, workers="0", suffix=""):
        monkeypatch.setenv(SEED_VARIABLE, seed)
        monkeypatch.setenv("nnUNet_n_proc_DA", workers)
        trainer = load_trainer_with_suffixes(NAME + suffix)(
            {**plans, "continue_training": False}, "2d", 0, dataset, torch.device("cpu")
        )
        trainer.initialize()
        weights = torch.cat([parameter.detach().flatten() for parameter in trainer.network.parameters()])
        trainer.current_epoch = epoch
        loaders = trainer.get_dataloaders()
        found = [next(loader)["data"] for loader in loaders]
        for loader in loaders:
            getattr(loader, "_finish", lambda: None)()
        return weights, *found

    return of


@pytest.mark.parametrize("workers", ["0", "1"])
def test_one_seed_gives_the_same_weights_and_batches_and_another_gives_others(batches, workers):
    first, same, other = (batches(seed, workers=workers) for seed in ("1", "1", "2"))
    for one, again in zip(first, same, strict=True):
        # nnU-Net's blur takes the faster of two ways, which round differently.
        torch.testing.assert_close(one, again, rtol=1e-4, atol=1e-4)
    for one, another in zip(first, other, strict=True):
        assert not torch.allclose(one, another, atol=1e-2)


def test_a_seed_in_the_name_is_the_same_as_one_in_the_environment(batches):
    first, same, other = batches("1"), batches("", suffix="_seed1"), batches("", suffix="_seed2")
    for one, again, another in zip(first, same, other, strict=True):
        torch.testing.assert_close(one, again, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(one, another, atol=1e-2)


def test_another_seed_in_the_environment_than_in_the_name_is_refused(batches):
    with pytest.raises(ValueError, match=f"{SEED_VARIABLE}=2 asks for another seed than the name '{NAME}_seed1'"):
        batches("2", suffix="_seed1")


def test_a_run_that_continues_draws_other_batches(batches):
    first, later = batches("1"), batches("1", epoch=1)
    assert torch.equal(first[0], later[0])
    assert not torch.allclose(first[1], later[1], atol=1e-2)


def test_workers_and_processes_get_seeds_of_their_own(monkeypatch):
    given = []
    monkeypatch.setattr(nnUNetTrainer, "NonDetMultiThreadedAugmenter", lambda **options: given.append(options["seeds"]))
    augmenter = nnUNetTrainer.NonDetMultiThreadedAugmenter
    for epoch, rank in ((0, 0), (0, 1), (1, 0)):
        with seeded_loaders(7, epoch=epoch, rank=rank):
            for n_processes in (3, 2):
                nnUNetTrainer.NonDetMultiThreadedAugmenter(num_processes=n_processes, seeds=None)
    assert nnUNetTrainer.NonDetMultiThreadedAugmenter is augmenter
    assert [len(seeds) for seeds in given] == [3, 2] * 3
    flat = [seed for seeds in given for seed in seeds]
    assert len(set(flat)) == len(flat)
    assert all(0 <= seed < 2**32 for seed in flat)


def test_the_whole_process_is_seeded():
    def drawn():
        seed_process(5)
        return random.random(), np.random.uniform(), torch.rand(1).item()

    assert drawn() == drawn()
