import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.comparison.prediction_folders import FoldersRequest, read_folders, short_names
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure

DATASET = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "channel_names": {"0": "R"}}


@pytest.fixture
def folders(tmp_path):
    """References of two cases, and the predictions of two models, each moved by some pixels."""
    square = np.zeros((20, 20), np.uint8)
    square[5:15, 5:15] = 1
    for kind, shift in (("raw/labelsTs", 0), ("A", 1), ("B", 2)):
        (tmp_path / kind).mkdir(parents=True)
        for name in ("x", "y"):
            Image.fromarray(np.roll(square, shift, axis=0)).save(tmp_path / kind / f"{name}.png")
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps(DATASET))
    return tmp_path


def read(folders, *names, references="raw/labelsTs", **options):
    request = FoldersRequest(
        predictions=[folders / name for name in names], references=folders / references, processes=1, **options
    )
    return read_folders(request)


def write_splits(folders, monkeypatch, splits):
    monkeypatch.setenv("nnUNet_preprocessed", str(folders / "preprocessed"))
    monkeypatch.delenv("nnUNet_raw", raising=False)
    (folders / "preprocessed" / "Dataset001_Toy").mkdir(parents=True)
    (folders / "preprocessed" / "Dataset001_Toy" / "splits_final.json").write_text(json.dumps(splits))


def test_all_folders_are_scored_and_nothing_is_written_beside_them(folders):
    before = sorted(folders.rglob("*"))
    models = read(folders, "A", "B", distances=DistanceMeasure())
    assert [model.name for model in models] == ["A", "B"]
    assert [model.cases[0].confusions["lesion"].dice for model in models] == pytest.approx([0.9, 0.8])
    assert [model.distances.by_case["x"]["lesion"].hd95 for model in models] == [1, 2]
    assert sorted(folders.rglob("*")) == before


def test_masks_need_no_dataset_json(folders):
    (folders / "raw" / "dataset.json").unlink()
    for path in folders.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) * 255).save(path)
    assert read(folders, "A", "B")[0].label_names == ["foreground"]


def test_names_are_as_short_as_tells_them_apart():
    assert short_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert short_names([Path("/x/a/masks"), Path("/x/b/masks")]) == ["a/masks", "b/masks"]


def test_a_missing_prediction_is_named(folders):
    (folders / "B" / "y.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 label in .* has no prediction in .*B:\n  y\.png"):
        read(folders, "A", "B")


def test_swapped_folders_are_refused(folders):
    (folders / "A" / "predict_from_raw_data_args.json").write_text("{}")
    with pytest.raises(ValueError, match="The folders look swapped"):
        read(folders, "raw/labelsTs", "B", references="A", dataset_json=folders / "raw" / "dataset.json")


def test_a_folder_named_twice_is_refused(folders):
    with pytest.raises(ValueError, match="A is named twice; name two different folders"):
        read(folders, "A", "A")
    with pytest.raises(ValueError, match="labelsTs is named as predictions and as `reference`"):
        read(folders, "A", "raw/labelsTs")
    with pytest.raises(FileNotFoundError, match=r"The folder of predictions .*C does not exist"):
        read(folders, "A", "C")


def test_predictions_of_other_labels_are_refused(folders):
    (folders / "B" / "dataset.json").write_text(json.dumps({**DATASET, "labels": {"background": 0, "tumour": 1}}))
    with pytest.raises(
        ValueError, match=r"B has other labels than the references, background = 0, tumour = 1 in .* and .*lesion = 1"
    ):
        read(folders, "A", "B")


def test_test_images_that_a_model_has_trained_on_are_refused(folders, monkeypatch):
    write_splits(folders, monkeypatch, [{"train": ["y", "z"], "val": ["v"]}])
    read(folders, "A", "B")
    (folders / "B" / "plans.json").write_text(json.dumps({"dataset_name": "Dataset001_Toy"}))
    with pytest.raises(
        ValueError, match=r"B has trained on 1 of the 2 cases \(y\), training cases of Dataset001_Toy: .*none of the"
    ):
        read(folders, "A", "B")
    (folders / "B" / "plans.json").write_text(json.dumps({"dataset_name": "Dataset002_Other"}))
    read(folders, "A", "B")


def test_the_record_of_a_prediction_tells_the_folds(folders, monkeypatch):
    write_splits(folders, monkeypatch, [{"train": ["v"], "val": ["x", "y"]}, {"train": ["x", "v"], "val": ["y"]}])
    for folds_of_model, seen in ((["0"], None), (["0", "1"], "x"), (["all"], "x, y")):
        record = {"dataset": "Dataset001_Toy", "folds": folds_of_model}
        (folders / "A" / "nnunet_mamba_prediction.json").write_text(json.dumps(record))
        if seen is None:
            read(folders, "A", "B")
            continue
        with pytest.raises(
            ValueError, match=rf"A has trained on .* \({seen}\), .* in fold {', '.join(folds_of_model)}:"
        ):
            read(folders, "A", "B")


def test_labels_of_the_raw_data_set_tell_training_cases_too(folders, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    monkeypatch.setenv("nnUNet_raw", str(folders / "nnUNet_raw"))
    labels = folders / "nnUNet_raw" / "Dataset001_Toy" / "labelsTr"
    labels.mkdir(parents=True)
    (labels / "x.nii.gz").touch()
    (folders / "A" / "plans.json").write_text(json.dumps({"dataset_name": "Dataset001_Toy"}))
    with pytest.raises(ValueError, match=r"A has trained on 1 of the 2 cases \(x\)"):
        read(folders, "A", "B")


def test_a_fold_may_be_compared_on_what_it_was_validated_with(folders, monkeypatch):
    splits = [{"train": ["v"], "val": ["x", "y"]}, {"train": ["x", "y"], "val": ["v"]}]
    write_splits(folders, monkeypatch, splits)
    for fold in ("0", "1", "all"):
        target = folders / "Dataset001_Toy" / "T__P__2d" / f"fold_{fold}" / "validation"
        target.mkdir(parents=True)
        for path in (folders / "A").iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    names = {fold: f"Dataset001_Toy/T__P__2d/fold_{fold}/validation" for fold in ("0", "1", "all")}
    assert [model.name for model in read(folders, names["0"], "B")] == ["validation", "B"]
    for fold in ("1", "all"):
        with pytest.raises(ValueError, match=rf"has trained on 2 of the 2 cases \(x, y\), .* in fold {fold}:"):
            read(folders, names[fold], "B")
