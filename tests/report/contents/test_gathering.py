import json

import pytest

from nnunet_mamba.comparison.metrics import METRICS
from nnunet_mamba.report.contents.gathering import ReportRequest, gather

FOLDS = {"0": {"a": 10, "b": 20}, "1": {"c": 5}}
OTHERS = {"0": {"a": 20, "b": 10}, "1": {"c": 15}}
LOG = "2026-01-01 10:00:00.0: Epoch 0\n2026-01-01 10:00:01.0: train_loss -0.5\n2026-01-01 10:00:02.0: val_loss -0.25\n"


def report_on(*trainers, **options):
    return gather(ReportRequest(dataset="1", trainers=trainers or None, **options))


def names(gathered):
    return [model.name for model in gathered.models]


def test_all_finished_trainings_are_shown_and_the_others_are_told(write_training):
    for trainer in ("A", "B"):
        write_training(trainer, FOLDS)
    write_training("C", {"0": FOLDS["0"]})
    write_training("A", FOLDS, configuration="3d_fullres")
    found = report_on(configuration="2d")
    assert (found.dataset, names(found), found.folds) == ("Dataset001_Toy", ["A", "B"], ["0", "1"])
    assert found.left_out == ["C__nnUNetPlans__2d: of folds 0, 1, fold 0 alone is complete"]
    assert names(report_on()) == ["A__nnUNetPlans__2d", "A__nnUNetPlans__3d_fullres", "B"]


def test_folds_that_all_have_are_enough_where_they_are_named(write_training):
    write_training("A", FOLDS)
    write_training("C", {"0": FOLDS["0"]})
    found = report_on(folds=["0"])
    assert (names(found), found.folds, found.models[0].identifiers) == (["A", "C"], ["0"], ["a", "b"])


def test_a_data_set_without_a_finished_training_is_refused(write_training):
    training = write_training("A", FOLDS)
    for fold in FOLDS:
        (training / f"fold_{fold}" / "validation" / "summary.json").unlink()
    with pytest.raises(FileNotFoundError, match="has finished and validated all of its folds; nnunet-mamba crossval"):
        report_on()


def test_seeds_of_a_trainer_are_one_model(write_training):
    for seed, folds in ((1, FOLDS), (2, OTHERS)):
        write_training(f"A_2epochs_seed{seed}", folds)
    write_training("B", FOLDS)
    for found in (report_on(), report_on("A_2epochs", "B")):
        model = found.models[0]
        assert (names(found), model.seeds) == (["A_2epochs", "B"], [1, 2])
        # Of 20 pixels, 10 and then 20 are found: a Dice of 2/3 and of 1.
        assert model.case_dice()["a"] == pytest.approx(5 / 6)
        assert [model.compared.score("a", "lesion", METRICS["dice"]) for model in found.models] == pytest.approx(
            [5 / 6, 2 / 3]
        )


def test_a_trainer_of_nnunet_keeps_its_name(write_training):
    write_training("nnUNetTrainer_1epoch", FOLDS)
    assert names(report_on()) == ["nnUNetTrainer_1epoch"]


def test_one_seed_can_be_named(write_training):
    for seed in (1, 2):
        write_training(f"A_seed{seed}", FOLDS)
    found = report_on("A_seed2")
    assert (names(found), found.models[0].seeds) == (["A"], [2])


@pytest.mark.parametrize("name", ["A_seed3", "A_seed3__nnUNetPlans__2d"])
def test_a_seed_that_was_not_trained_is_refused_and_other_seeds_do_not_stand_for_it(write_training, name):
    for seed in (1, 2):
        write_training(f"A_seed{seed}", FOLDS)
    with pytest.raises(FileNotFoundError, match=f"no training of {name} .*There are:\n  A_seed1__nnUNetPlans__2d"):
        report_on(name)


def test_an_unknown_trainer_is_refused_with_those_that_there_are(write_training):
    write_training("A", FOLDS)
    with pytest.raises(FileNotFoundError, match=r"no training of Z .*There are:\n  A__nnUNetPlans__2d"):
        report_on("Z")


def test_logs_of_all_folds_are_read(write_training):
    training = write_training("A_seed3", FOLDS)
    (training / "fold_1" / "training_log_2026_1_1_10_00_00.txt").write_text(LOG)
    (epochs,) = report_on().models[0].epochs.items()
    assert (epochs[0], [epoch.train_loss for epoch in epochs[1]]) == ("seed 3, fold 1", [-0.5])


def test_a_trainer_with_two_plans_is_two_models(write_training):
    for plans in ("nnUNetPlans", "other"):
        write_training("A", FOLDS, plans=plans)
    assert names(report_on()) == ["A__nnUNetPlans__2d", "A__other__2d"]


def test_damaged_results_are_named(write_training):
    training = write_training("A", FOLDS)
    summary = training / "fold_0" / "validation" / "summary.json"
    summary.write_text(json.dumps({"foreground_mean": {"Dice": 0.5}}))
    with pytest.raises(ValueError, match=r"summary\.json has no 'metric_per_case'"):
        report_on("A")


def test_the_fold_of_all_cases_is_refused(write_training):
    write_training("A", {**FOLDS, "all": {"a": 1}})
    for trainers in ((), ("A",)):
        with pytest.raises(ValueError, match="the fold all, which is validated with the cases that it was trained"):
            report_on(*trainers, folds=["all"])


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ({"0": {"a": 10}, "1": {"c": 5}}, r"were scored on other cases, 1 only in A_2epochs_seed1 \(b\)"),
        ({"0": {"c": 5}, "1": {"a": 10, "b": 20}}, "were trained with another split"),
    ],
)
def test_seeds_that_were_validated_otherwise_are_not_averaged(write_training, second, text):
    write_training("A_2epochs_seed1", FOLDS)
    write_training("A_2epochs_seed2", second)
    with pytest.raises(ValueError, match=f"A_2epochs_seed1 and A_2epochs_seed2 {text}"):
        report_on()
