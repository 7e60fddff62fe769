import json

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.evaluation.finished_results import evaluate_results
from nnunet_mamba.evaluation.folders import evaluate_folders

DATASET = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "channel_names": {"0": "R"}}


@pytest.fixture
def training(tmp_path):
    """nnU-Net's results of two folds, of which no image is left."""
    training = tmp_path / "Dataset001_Toy" / "nnUNetTrainer__nnUNetPlans__2d"
    raw = tmp_path / "raw"
    for fold, names in (("fold_0", "ab"), ("fold_1", "cd"), ("fold_all", "ac")):
        folders = [training / fold / "validation", raw / fold / "labelsTr"]
        for seed, folder in enumerate(folders):
            folder.mkdir(parents=True)
            for name in names:
                label = np.random.default_rng([seed, ord(name)]).integers(0, 2, (9, 8), np.uint8)
                Image.fromarray(label).save(folder / f"{name}.png")
        (raw / fold / "dataset.json").write_text(json.dumps(DATASET))
        evaluate_folders(*folders, processes=1)
        for path in [*folders[0].glob("*.png"), folders[0] / "cases.csv"]:
            path.unlink()
    (training / "dataset.json").write_text(json.dumps(DATASET))
    return training


def identifiers(results, **options):
    return [case.identifier for case in evaluate_results(results, **options).cases]


def test_the_folds_of_a_training_count_together_and_no_image_is_opened(training):
    done = evaluate_results(training)
    assert [case.identifier for case in done.cases] == ["a", "b", "c", "d"]
    assert list(done.cases[0].confusions) == ["lesion"]
    assert (done.summary, done.table) == (training, training / "cases.csv")
    assert len(done.table.read_text().splitlines()) == 5
    assert done.as_dict()["n_cases"] == 4


@pytest.mark.parametrize("place", ["fold_1", "fold_1/validation", "fold_1/validation/summary.json"])
def test_a_fold_its_validation_and_its_summary_are_the_same(training, place, tmp_path):
    done = evaluate_results(training / place, output=tmp_path / "scores")
    assert [case.identifier for case in done.cases] == ["c", "d"]
    assert list(done.cases[0].confusions) == ["lesion"]
    assert done.summary == training / "fold_1/validation/summary.json"
    assert done.table == tmp_path / "scores" / "cases.csv"


def test_the_fold_of_all_cases_counts_where_there_is_no_other(training, caplog):
    for fold in ("fold_0", "fold_1"):
        (training / fold / "validation" / "summary.json").unlink()
    with caplog.at_level("WARNING"):
        assert identifiers(training) == ["a", "c"]
    assert "fold_all/validation/summary.json is of the fold all, which is validated with the cases that" in caplog.text


def test_folds_without_a_validation_are_told(training, caplog):
    (training / "fold_1" / "validation" / "summary.json").unlink()
    with caplog.at_level("WARNING"):
        assert identifiers(training) == ["a", "b"]
    assert "fold 1 has no summary.json of a validation, so these are the scores of fold 0 alone" in caplog.text
    caplog.clear()
    assert identifiers(training / "fold_0") == ["a", "b"]
    assert not caplog.text


def test_labels_keep_their_numbers_without_a_dataset_json(training):
    (training / "dataset.json").unlink()
    assert list(evaluate_results(training).cases[0].confusions) == ["1"]


def test_cases_of_several_folds_are_refused(training):
    text = (training / "fold_0/validation/summary.json").read_text()
    (training / "fold_1/validation/summary.json").write_text(text)
    with pytest.raises(ValueError, match=r"2 cases are there more than once in .*: a, b; name one fold"):
        evaluate_results(training)


def test_places_without_counts_are_named(training, tmp_path):
    (tmp_path / "empty").mkdir()
    for place, found in (("empty", r"holds no summary\.json of nnU-Net's"), ("nowhere", "does not exist")):
        with pytest.raises(FileNotFoundError, match=rf"{place} {found}.*name the folder of their references after it$"):
            evaluate_results(tmp_path / place)


def write_split(root, monkeypatch, *folds):
    monkeypatch.setenv("nnUNet_preprocessed", str(root / "preprocessed"))
    file = root / "preprocessed" / "Dataset001_Toy" / "splits_final.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps([{"train": ["x"], "val": list(cases)} for cases in folds]))
    return file


@pytest.mark.parametrize("place", ["", "fold_1", "fold_1/validation/summary.json"])
def test_folds_that_were_validated_by_another_split_are_told(training, place, tmp_path, monkeypatch, caplog):
    write_split(tmp_path, monkeypatch, "ab", "ce")
    with caplog.at_level("WARNING"):
        assert "c" in identifiers(training / place, output=tmp_path / "scores")
    assert "Dataset001_Toy/nnUNetTrainer__nnUNetPlans__2d: fold 1 was validated by another split" in caplog.text
    assert "without 1 case of it (e) and with 1 other (d)" in caplog.text


def test_nothing_is_said_of_the_split_of_other_summaries(training, tmp_path, monkeypatch, caplog):
    split = write_split(tmp_path, monkeypatch, "ab", "cd")
    ensemble = training / "fold_1" / "ensemble"
    ensemble.mkdir()
    (ensemble / "summary.json").write_bytes((training / "fold_0" / "validation" / "summary.json").read_bytes())
    with caplog.at_level("WARNING"):
        assert identifiers(training) == ["a", "b", "c", "d"]
        assert identifiers(ensemble) == ["a", "b"]
    assert caplog.text == ""
    split.write_text("[]")
    with caplog.at_level("WARNING"):
        assert identifiers(training) == ["a", "b", "c", "d"]
    assert "nobody has checked that its folds were validated by their split" in caplog.text


def test_a_summary_without_cases_is_refused(training):
    summary = training / "fold_1" / "validation" / "summary.json"
    summary.write_text(json.dumps({"metric_per_case": [], "foreground_mean": {"Dice": 0.5}}))
    with pytest.raises(ValueError, match=r"fold_1/validation/summary\.json has no case in 'metric_per_case'"):
        evaluate_results(training)


def test_a_table_of_others_is_not_replaced(training, tmp_path):
    (tmp_path / "cases.csv").write_text("image,patient\n")
    with pytest.raises(FileExistsError, match=r"cases\.csv is there and was written by no evaluation"):
        evaluate_results(training, output=tmp_path)


def test_folds_that_are_scored_for_other_labels_leave_no_table(training):
    summary = training / "fold_1" / "validation" / "summary.json"
    content = json.loads(summary.read_text())
    content["metric_per_case"][0]["metrics"] = {}
    summary.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="score all cases with the same"):
        evaluate_results(training)
    assert not (training / "cases.csv").exists()


def test_folds_of_the_split_that_were_never_begun_are_told(training, tmp_path, monkeypatch, caplog):
    write_split(tmp_path, monkeypatch, "ab", "cd", "e", "f")
    with caplog.at_level("WARNING"):
        assert identifiers(training) == ["a", "b", "c", "d"]
    assert "folds 2, 3 have no summary.json of a validation, so these are the scores of folds 0, 1 alone" in caplog.text
    assert "finish them for those of all" in caplog.text


def test_the_folder_of_several_trainings_is_told(training):
    with pytest.raises(
        FileNotFoundError, match=f"Dataset001_Toy holds trainings, such as {training}; name one of them"
    ):
        evaluate_results(training.parent)
