import json
import random

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes
from nnunet_mamba.training.seeding import SEED_VARIABLE, seed_of_environment, seed_process, seeded_loaders

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

    def of(seed, *, epoch=0, workers="0"):
        monkeypatch.setenv(SEED_VARIABLE, seed)
        monkeypatch.setenv("nnUNet_n_proc_DA", workers)
        trainer = load_trainer_with_suffixes(NAME)(
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


@pytest.mark.parametrize(("text", "seed"), [(None, None), ("", None), (" ", None), ("0", 0), (" 12 ", 12)])
def test_reads_the_seed_from_the_environment(monkeypatch, text, seed):
    monkeypatch.delenv(SEED_VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(SEED_VARIABLE, text)
    assert seed_of_environment() == seed


@pytest.mark.parametrize("text", ["-1", "1.5", "one", "²"])
def test_refuses_what_is_no_seed(monkeypatch, text):
    monkeypatch.setenv(SEED_VARIABLE, text)
    with pytest.raises(ValueError, match=rf"{SEED_VARIABLE}='{text}': expected a whole number from 0"):
        seed_of_environment()
