import csv
import json
import math

import pytest

from nnunet_mamba.report.collect import (
    label_names,
    read_fold,
    read_summary,
    read_training_log,
    training_logs,
    write_case_table,
)

LOG = """
#######################################################################
2026-11-20 20:55:22.4: This split has 16 training and 4 validation cases.
2026-11-20 20:55:22.8:
2026-11-20 20:55:22.8: Epoch 0
2026-11-20 20:55:22.8: Current learning rate: 0.001
2026-11-20 20:55:25.1: train_loss -0.0837
2026-11-20 20:55:25.1: val_loss 0.0869
2026-11-20 20:55:25.1: Pseudo dice [np.float32(0.3667), np.float32(nan)]
2026-11-20 20:55:25.1: Epoch time: 2.34 s
2026-11-20 20:55:25.2: Yayy! New best EMA pseudo Dice: 0.3666
2026-11-20 20:55:26.2: Epoch 1
2026-11-20 20:55:27.0: train_loss -0.4485
2026-11-20 20:55:27.0: val_loss 1e-05
2026-11-20 20:55:27.0: Pseudo dice [0.6163, 0.5]
2026-11-20 20:55:27.0: Epoch time: 0.87 s
2026-11-20 20:55:28.9: Training done.
2026-11-20 20:55:42.6: Mean Validation Dice:  0.535
"""


def entry(name, **counts):
    return {"prediction_file": f"/out/{name}", "reference_file": f"/ref/{name}", "metrics": {"1": counts}}


@pytest.fixture
def summary(tmp_path):
    content = {
        "mean": {},
        "foreground_mean": {},
        "metric_per_case": [
            entry("b.png", Dice=0.5, IoU=1 / 3, TP=1, FP=1, FN=1, TN=7),
            entry("a.nii.gz", Dice=math.nan, IoU=math.nan, TP=0, FP=0, FN=0, TN=10),
        ],
    }
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(content))
    return path


def test_reads_summary_sorted_with_names_of_labels(summary):
    first, second = read_summary(summary, names={"1": "lesion"})
    assert (first.identifier, second.identifier) == ("a", "b")
    assert math.isnan(first.dice)
    assert second.confusions["lesion"].tn == 7
    assert second.dice == 0.5


def test_refuses_what_is_no_summary(tmp_path):
    for text, message in (("{}", "metric_per_case"), ("[]", "JSON object"), ("{", "complete")):
        (tmp_path / "file.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_summary(tmp_path / "file.json")


def test_names_labels_and_regions_by_nnunets_keys():
    labels = {"background": 0, "whole": [1, 2], "core": [2], "edge": 3, "ignore": 4}
    names = label_names({"labels": labels})
    assert names["(1, 2)"] == "whole"
    assert names["(2,)"] == "core"
    assert names["2"] == "core"
    assert names["3"] == "edge"
    assert set(names.values()) == {"whole", "core", "edge"}


def test_reads_epochs_of_a_log(tmp_path):
    (tmp_path / "log.txt").write_text(LOG)
    first, second = read_training_log([tmp_path / "log.txt"])
    assert (first.number, first.train_loss, first.validation_loss, first.seconds) == (0, -0.0837, 0.0869, 2.34)
    assert first.pseudo_dice[0] == 0.3667
    assert math.isnan(first.pseudo_dice[1])
    assert second.pseudo_dice == (0.6163, 0.5)
    assert second.validation_loss == 1e-05


def test_a_restart_replaces_the_epochs_it_repeats(tmp_path):
    # The name's numbers are not padded: sorted as text, October comes before September.
    (tmp_path / "training_log_2026_9_30_08_00_00.txt").write_text(LOG + "2026-11-20 20:56:00.0: Epoch 2\n")
    (tmp_path / "training_log_2026_10_1_08_00_00.txt").write_text(
        "2026-10-01 08:00:00.1: Epoch 1\n2026-10-01 08:00:00.2: train_loss -0.9\n"
    )
    epochs = read_training_log(training_logs(tmp_path))
    assert [(epoch.number, epoch.train_loss) for epoch in epochs] == [(0, -0.0837), (1, -0.9)]


@pytest.fixture
def fold(tmp_path, summary):
    folder = tmp_path / "Dataset001_Skin" / "nnUNetTrainerX_2epochs__nnUNetPlans__2d" / "fold_3"
    (folder / "validation").mkdir(parents=True)
    summary.rename(folder / "validation" / "summary.json")
    (folder / "training_log_2026_11_20_20_55_22.txt").write_text(LOG)
    configurations = {
        "base": {"patch_size": [64, 96], "batch_size": 2},
        "2d": {"inherits_from": "base", "batch_size": 5},
    }
    (folder.parent / "plans.json").write_text(json.dumps({"configurations": configurations}))
    (folder.parent / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 1}}))
    return folder


def test_reads_a_fold_of_nnunets_results(fold):
    trained = read_fold(fold)
    assert (trained.dataset, trained.trainer, trained.plans) == (
        "Dataset001_Skin",
        "nnUNetTrainerX_2epochs",
        "nnUNetPlans",
    )
    assert (trained.configuration, trained.fold) == ("2d", "3")
    assert (trained.patch_size, trained.batch_size) == ((64, 96), 5)
    assert len(trained.epochs) == 2
    assert [case.identifier for case in trained.validation] == ["a", "b"]
    assert list(trained.validation[0].confusions) == ["lesion"]


def test_a_fold_without_validation_has_no_validation_cases(fold):
    (fold / "validation" / "summary.json").unlink()
    assert read_fold(fold).validation == ()


def test_refuses_what_is_no_fold(fold):
    with pytest.raises(ValueError, match="TRAINER__PLANS__CONFIGURATION"):
        read_fold(fold.parent)
    for log in training_logs(fold):
        log.unlink()
    with pytest.raises(FileNotFoundError, match="train this fold first"):
        read_fold(fold)


def test_case_table_leaves_what_is_not_a_number_empty(summary, tmp_path):
    write_case_table(read_summary(summary), tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["identifier"], first["dice"], first["tn"]) == ("a", "", "10")
    assert (second["dice"], second["iou"], second["fn"]) == ("0.500000", "0.333333", "1")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"TP": math.nan}, "TP is nan, expected a number of voxels"),
        ({"FP": -1}, "FP is -1, expected"),
        ({"FN": "3"}, "FN is 3, expected"),
        ({"TN": 0.5}, "TN is 0.5, expected"),
        ({"TN": None}, "TN is None, expected"),
    ],
)
def test_counts_that_are_none_are_told_with_their_case(summary, wrong, message):
    content = json.loads(summary.read_text())
    content["metric_per_case"][1]["metrics"]["1"].update(wrong)
    summary.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"summary\.json: case 2 of 'metric_per_case' .*\({message}"):
        read_summary(summary)


@pytest.mark.parametrize(
    "cases", [None, [3], [{}], [{"prediction_file": "a.png"}], [{"prediction_file": 1, "metrics": {}}]]
)
def test_summaries_with_other_contents_are_told(summary, cases):
    summary.write_text(json.dumps({"metric_per_case": cases}))
    with pytest.raises(ValueError, match=r"summary\.json.*metric_per_case"):
        read_summary(summary)


@pytest.mark.parametrize(
    "configurations",
    [
        {},
        {"2d": {"patch_size": [8, 8]}},
        {"2d": {"patch_size": None, "batch_size": 2}},
        {"2d": {"inherits_from": "3d"}, "3d": {"inherits_from": "2d"}},
        {"2d": 3},
    ],
)
def test_plans_without_patches_are_told(fold, configurations):
    (fold.parent / "plans.json").write_text(json.dumps({"configurations": configurations}))
    with pytest.raises(ValueError, match=r"plans\.json does not tell the patches of configuration 2d"):
        read_fold(fold)


def test_a_case_table_is_whole_or_as_it_was(summary, tmp_path):
    cases = read_summary(summary)
    write_case_table(cases, tmp_path / "cases.csv")
    before = (tmp_path / "cases.csv").read_text()
    with pytest.raises(AttributeError):
        write_case_table([*cases, None], tmp_path / "cases.csv")
    assert (tmp_path / "cases.csv").read_text() == before
    assert sorted(path.name for path in tmp_path.glob("*cases.csv")) == ["cases.csv"]
