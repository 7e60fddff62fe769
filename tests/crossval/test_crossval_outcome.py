import dataclasses
import json
import math

import pytest

from nnunet_mamba.crossval.outcome import Score, find_best_commands, scores, scores_over_seeds


def complete(run, dice):
    run.summary.parent.mkdir(parents=True)
    (run.folder / "checkpoint_final.pth").touch()
    run.summary.write_text(json.dumps({"foreground_mean": {"Dice": dice}}))


def test_scores_are_those_of_complete_folds(stub):
    runs = [stub.run(fold, trainer) for trainer in "AB" for fold in range(3)]
    for run, dice in zip(runs, (0.7, 0.9, 0.8, 0.6), strict=False):
        complete(run, dice)
    first, second = scores(runs)
    assert first == Score(model="A__nnUNetPlans__2d", dice={0: 0.7, 1: 0.9, 2: 0.8})
    assert (first.mean, first.deviation) == (pytest.approx(0.8), pytest.approx(0.1))
    assert (second.mean, second.dice) == (0.6, {0: 0.6})
    assert math.isnan(second.deviation)


def test_a_fold_without_foreground_does_not_count(stub):
    complete(stub.run(0), math.nan)
    complete(stub.run(1), 0.5)
    (score,) = scores([stub.run(0), stub.run(1)])
    assert score.mean == 0.5


def test_over_seeds_the_means_over_whole_folds_count(stub):
    runs = [stub.run(fold, f"A_seed{seed}") for seed in (3, 1, 2, 10) for fold in (0, 1)]
    runs += [stub.run(fold, trainer) for trainer in ("A", "B_seed1") for fold in (0, 1)]
    for run, dice in zip(runs, (0.6, 0.8, 0.5, 0.7, 0.9), strict=False):
        complete(run, dice)
    (score,) = scores_over_seeds(runs)
    assert score.model == "A__nnUNetPlans__2d"
    assert score.dice == pytest.approx({1: 0.6, 2: math.nan, 3: 0.7, 10: math.nan}, nan_ok=True)
    assert list(score.dice) == [1, 2, 3, 10]
    assert (score.mean, score.deviation) == (pytest.approx(0.65), pytest.approx(0.005**0.5))


def test_nnunets_command_names_all_and_does_not_ensemble_without_probabilities(stub):
    runs = [stub.run(fold, trainer) for trainer in "AB" for fold in (0, 2)]
    command = "nnUNetv2_find_best_configuration Dataset901_Tiny -c 2d -tr A B -p nnUNetPlans -f 0 2"
    assert find_best_commands(runs, npz=True) == [command]
    assert find_best_commands(runs, npz=False) == [f"{command} --disable_ensembling"]


def test_trainers_with_plans_of_their_own_have_commands_of_their_own(stub):
    plans = {"A": ("nnUNetPlans", "P"), "B": ("P",), "C": ("nnUNetPlans", "P")}
    runs = [dataclasses.replace(stub.run(0, name), plans=plan) for name in "ABC" for plan in plans[name]]
    commands = find_best_commands(runs, npz=True)
    assert [command.partition(" -tr ")[2] for command in commands] == ["A C -p nnUNetPlans P -f 0", "B -p P -f 0"]
