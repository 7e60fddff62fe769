import json

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.comparison.comparability import refuse_incomparable
from nnunet_mamba.comparison.finished_trainings import TrainingsRequest, read_trainings
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure

FOLDS = {"0": {"a": 10, "b": 20}, "1": {"c": 5}}


def read(*trainers, **options):
    return read_trainings(TrainingsRequest(dataset="1", trainers=trainers, **options))


def write_splits(root, n_folds, *, cases=FOLDS):
    folder = root / "nnUNet_preprocessed" / "Dataset001_Toy"
    folder.mkdir(parents=True)
    splits = [{"train": ["x"], "val": list(cases.get(str(fold), "y"))} for fold in range(n_folds)]
    (folder / "splits_final.json").write_text(json.dumps(splits))


def test_the_validation_cases_of_all_folds_count_together(write_training):
    write_training("A", FOLDS)
    write_training("B", FOLDS)
    models = read("A", "B", configuration="2d")
    assert [model.name for model in models] == ["A", "B"]
    assert [case.identifier for case in models[0].cases] == ["a", "b", "c"]
    assert models[0].folds == {"a": "0", "b": "0", "c": "1"}
    assert models[0].label_names == ["lesion"]
    refuse_incomparable(models)


def test_a_training_that_was_validated_by_another_split_is_refused(write_training, tmp_path):
    for trainer in ("A", "B"):
        write_training(trainer, FOLDS)
    write_splits(tmp_path, 2, cases={"0": "a", "1": "bc"})
    with pytest.raises(
        ValueError, match=r"A__nnUNetPlans__2d: fold 0 was validated by another split .*splits_final\.js"
    ):
        read("A", "B")


def test_one_trainer_with_two_plans_is_named_in_full(write_training):
    for plans in ("nnUNetPlans", "other"):
        write_training("A", FOLDS, plans=plans)
    with pytest.raises(ValueError, match=r"2 trainings in .* fit A; .*give the whole name:\n  A__nnUNetPlans__2d\n  A"):
        read("A", "B")
    models = read("A__nnUNetPlans__2d", "A__other__2d")
    assert [model.name for model in models] == ["A__nnUNetPlans__2d", "A__other__2d"]


def test_the_configuration_tells_trainings_apart(write_training):
    for configuration in ("2d", "3d_fullres"):
        write_training("A", FOLDS, configuration=configuration)
    write_training("B", FOLDS)
    assert read("A", "B", configuration="2d")[0].place.name == "A__nnUNetPlans__2d"
    with pytest.raises(FileNotFoundError, match="no training of B with configuration 3d_fullres"):
        read("A", "B", configuration="3d_fullres")


def test_unfinished_folds_are_named(write_training, tmp_path):
    write_splits(tmp_path, 3)
    training = write_training("A", {**FOLDS, "2": {"d": 3}})
    write_training("B", FOLDS)
    (training / "fold_1" / "validation" / "summary.json").unlink()
    with pytest.raises(
        ValueError,
        match=r"2 folds are unfinished; finish them, or compare the finished ones with `folds='0'`:\n"
        r"  A__nnUNetPlans__2d: fold 1 is not validated\n  B__nnUNetPlans__2d: fold 2 is not begun$",
    ):
        read("A", "B")
    assert [case.identifier for case in read("A", "B", folds=["0"])[0].cases] == ["a", "b"]


def test_without_a_split_the_folds_that_were_begun_count(write_training):
    write_training("A", {**FOLDS, "all": {"a": 1}})
    write_training("B", {"0": FOLDS["0"]})
    with pytest.raises(ValueError, match="B__nnUNetPlans__2d: fold 1 is not begun"):
        read("A", "B")


def test_the_fold_of_all_cases_is_refused(write_training):
    for name in "AB":
        write_training(name, {"all": {"a": 1}})
    with pytest.raises(ValueError, match="the fold all, which is validated with the cases that it was trained with"):
        read("A", "B", folds=["all"])
    with pytest.raises(FileNotFoundError, match="has no fold; train the folds first"):
        read("A", "B")


def test_what_is_not_there_is_named_with_what_is(write_training):
    write_training("A", FOLDS)
    with pytest.raises(FileNotFoundError, match=r"no training of C in .*There are:\n  A__nnUNetPlans__2d"):
        read("A", "C")
    with pytest.raises(ValueError, match="`trainers` A,A names one training twice"):
        read("A", "A")
    with pytest.raises(FileNotFoundError, match="no results of a data set '7'"):
        read_trainings(TrainingsRequest(dataset="7", trainers=["A", "B"]))


def test_a_case_of_two_folds_is_refused(write_training):
    for name in "AB":
        write_training(name, {"0": {"a": 1, "b": 2}, "1": {"b": 2}})
    with pytest.raises(ValueError, match=r"1 case of fold 1 is validated by an earlier fold too \(b\)"):
        read("A", "B")


def test_distances_are_measured_in_the_label_maps_of_the_validations(write_training, tmp_path):
    trainings = [write_training(name, {"0": {"a": 1}, "1": {"b": 1}}) for name in "AB"]
    references = tmp_path / "nnUNet_preprocessed" / "Dataset001_Toy" / "gt_segmentations"
    before = (trainings[0] / "fold_0" / "validation" / "summary.json").read_text()
    with pytest.raises(FileNotFoundError, match=r"label maps of Dataset001_Toy are not there .*do without distances"):
        read("A", "B", distances=DistanceMeasure())
    references.mkdir(parents=True)
    square = np.zeros((20, 20), np.uint8)
    square[5:15, 5:15] = 1
    for fold, case in enumerate("ab"):
        Image.fromarray(square).save(references / f"{case}.png")
        for shift, training in enumerate(trainings):
            moved = np.roll(square, 3 * shift, axis=0)
            Image.fromarray(moved).save(training / f"fold_{fold}" / "validation" / f"{case}.png")
    models = read("A", "B", distances=DistanceMeasure(), processes=1)
    assert [model.distances.by_case["b"]["lesion"].hd95 for model in models] == [0, 3]
    assert models[0].distances.unit == "pixel"
    assert (trainings[0] / "fold_0" / "validation" / "summary.json").read_text() == before
    refuse_incomparable(models)


def test_a_validation_without_some_of_its_label_maps_is_not_measured(write_training, tmp_path):
    validation = write_training("A", {"0": {"a": 1, "b": 1}}) / "fold_0" / "validation"
    references = tmp_path / "nnUNet_preprocessed" / "Dataset001_Toy" / "gt_segmentations"
    references.mkdir(parents=True)
    for case in "abc":
        Image.fromarray(np.eye(9, dtype=np.uint8)).save(references / f"{case}.png")
    for case, text in (
        ("a", r"validation: 1 case of its summary\.json has no label map \(b\), and distances are measured"),
        ("c", r"no label map \(b\) and 1 label map is not in its summary\.json \(c\).*or do without distances$"),
    ):
        Image.fromarray(np.eye(9, dtype=np.uint8)).save(validation / f"{case}.png")
        with pytest.raises(ValueError, match=text):
            read("A", distances=DistanceMeasure(), processes=1)


@pytest.mark.parametrize("fold", ["0", "1"])
def test_cases_that_are_scored_for_other_labels_are_refused(write_training, fold):
    summary = write_training("A", FOLDS) / f"fold_{fold}" / "validation" / "summary.json"
    content = json.loads(summary.read_text())
    content["metric_per_case"][-1]["metrics"] = {}
    summary.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"a \(fold 0\) for lesion and [bc] \(fold [01]\) for nothing are scored for"):
        read("A")


@pytest.mark.parametrize("text", ['{"results": {"all": []}}', '{"foreground_mean": {"Di'])
def test_a_validation_of_another_nnunet_or_a_torn_one_is_told(write_training, text):
    write_training("A", FOLDS)
    training = write_training("B", FOLDS)
    (training / "fold_1" / "validation" / "summary.json").write_text(text)
    with pytest.raises(ValueError, match="1 fold is unfinished; finish it, or ") as error:
        read("A", "B")
    told = f"{training / 'fold_1/validation/summary.json'} is damaged, or of another version; validate it again"
    assert str(error.value).endswith(f"fold 1 is not validated by this nnU-Net: {told}")


def test_a_training_without_its_dataset_json_is_told_with_the_way_out(write_training):
    write_training("A", FOLDS)
    (write_training("B", FOLDS) / "dataset.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"B__nnUNetPlans__2d/dataset\.json is not there, .* in nnUNet_raw$"):
        read("A", "B")
