import csv
import json
import unicodedata
from itertools import pairwise
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from nnunetv2.evaluation import evaluate_predictions
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from PIL import Image

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.distances.mask_distances import mask_distances
from nnunet_mamba.evaluation.folders import evaluate_folders

REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}, "regions_class_order": [1, 2]}
FOLDERS = ("predictions", "labels")
MEASURE = DistanceMeasure()
LABELS = {"labels": {"background": 0, "a": 1, "b": 2, "none": 3}}


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        for name in "abc":
            label = rng.integers(0, 3, (9, 8), np.uint8)
            Image.fromarray(label).save(tmp_path / folder / f"{name}.png")
    return tmp_path


def evaluate(folders, dataset=LABELS, **options):
    (folders / "dataset.json").write_text(json.dumps({"file_ending": ".png", **dataset}))
    output = folders / "scores"
    done = evaluate_folders(
        folders / "predictions", folders / "labels", folders / "dataset.json", output=output, **options
    )
    return done.cases


@pytest.mark.parametrize(
    ("dataset", "scored", "ignored"), [(LABELS, [1, 2, 3], None), (REGIONS, [(1, 2), 2], 3)], ids=["labels", "regions"]
)
def test_the_summary_is_that_of_nnunet(folders, monkeypatch, dataset, scored, ignored):
    evaluate(folders, dataset, processes=1)
    predictions, labels = str(folders / "predictions"), str(folders / "labels")
    expected = folders / "expected.json"
    # A process of its own would import torch first.
    threads = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=ThreadPool))
    monkeypatch.setattr(evaluate_predictions, "multiprocessing", threads)
    count = evaluate_predictions.compute_metrics_on_folder
    count(labels, predictions, str(expected), NaturalImage2DIO(), ".png", scored, ignored, num_processes=1)
    assert (folders / "scores" / "summary.json").read_text() == expected.read_text()


def test_a_prediction_in_colour_counts_once(folders):
    grey = evaluate(folders, processes=1)
    for name in "ab":
        path = folders / "predictions" / f"{name}.png"
        Image.open(path).convert("RGB").save(path)
    path = folders / "labels" / "b.png"
    Image.open(path).convert("RGBA").save(path)
    assert evaluate(folders, processes=1) == grey
    assert grey[0].confusions["a"].tp + grey[0].confusions["a"].tn < 9 * 8


def test_colours_that_differ_are_refused_before_anything_is_written(folders):
    path = folders / "predictions" / "a.png"
    grey = np.asarray(Image.open(path))
    Image.fromarray(np.stack([grey, grey * 0, grey], -1)).save(path)
    with pytest.raises(ValueError, match=r"a\.png: the prediction has 3 channels that differ, .*\(.*a\.png\)"):
        evaluate(folders)
    assert not (folders / "scores").exists()


def test_a_prediction_under_another_name_is_not_left_out(folders):
    (folders / "predictions" / "a.png").rename(folders / "predictions" / "a.PNG")
    (folders / "predictions" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 label .*\n  a\.png \(there is a\.PNG\)\nRename or convert"):
        evaluate(folders, allow_missing=True)
    (folders / "predictions" / "a.PNG").unlink()
    assert [case.identifier for case in evaluate(folders, allow_missing=True)] == ["c"]


@pytest.mark.parametrize(
    ("factor", "message"), [(255, "0 and 255 are black and white: divide by 255"), (0.25, "look like probabilities")]
)
def test_values_that_are_no_labels_are_explained(folders, factor, message):
    for folder in ("predictions", "labels"):
        for path in (folders / folder).iterdir():
            label = (np.asarray(Image.open(path)) > 0) * factor
            Image.fromarray(label.astype(np.float32) if factor < 1 else label.astype(np.uint8)).save(
                path.with_suffix(".tif")
            )
    with pytest.raises(ValueError, match=message):
        evaluate(folders, {**LABELS, "file_ending": ".tif"})


def test_files_stay_as_they_were_where_new_ones_cannot_be_written(folders, monkeypatch):
    evaluate(folders, processes=1)
    before = {path.name: path.read_bytes() for path in (folders / "scores").iterdir()}
    (folders / "predictions" / "a.png").unlink()

    def full(cases, path, distances):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnunet_mamba.evaluation.case_table.write_case_table", full)
    with pytest.raises(OSError, match=r"No space left on device: .*cases\.csv"):
        evaluate(folders, allow_missing=True, processes=1)
    assert {path.name: path.read_bytes() for path in (folders / "scores").iterdir()} == before


def test_a_place_that_cannot_be_written_is_told_first(folders):
    (folders / "scores").touch()
    with pytest.raises(NotADirectoryError, match=r"is a file, expected a folder; .* choose another `output`$"):
        evaluate(folders)


def test_processes_are_at_least_one(folders):
    with pytest.raises(ValueError, match="processes is 0, expected at least 1"):
        evaluate(folders, processes=0)


@pytest.mark.parametrize(("positions", "cases"), [(2**26, round(2**26 / 72)), (100, 1)])
def test_a_process_is_started_for_as_many_cases_as_are_worth_it(folders, monkeypatch, positions, cases):
    asked = []

    def in_this_process(function, items, **options):
        asked.append(options["items_per_worker"])
        return map(function, items)

    monkeypatch.setattr("nnunet_mamba.system.parallel.map_in_order", in_this_process)
    monkeypatch.setattr("nnunet_mamba.evaluation.folders._POSITIONS_PER_WORKER", positions)
    evaluate(folders)
    assert asked == [cases]


def test_values_that_miss_a_whole_number_by_a_little_are_counted_as_it_and_told(folders, caplog):
    for folder in ("predictions", "labels"):
        for path in (folders / folder).iterdir():
            Image.open(path).save(path.with_suffix(".tif"))
    dataset = {**LABELS, "file_ending": ".tif"}
    exact = evaluate(folders, dataset, processes=1)
    path = folders / "predictions" / "a.tif"
    label = np.asarray(Image.open(path)).astype(np.float32)
    Image.fromarray(np.where(label == 2, label - np.float32(5e-4), label)).save(path)
    with caplog.at_level("INFO", logger="nnunet_mamba"):
        assert evaluate(folders, dataset, processes=1) == exact
    assert (
        f"{(label == 2).sum()} values in 1 label map, such as {path}, miss a whole number by at most 0.001"
        in caplog.text
    )
    Image.fromarray(np.where(label == 2, label - np.float32(5e-3), label)).save(path)
    with pytest.raises(ValueError, match=r"a\.tif: the prediction has the values 1\.995"):
        evaluate(folders, dataset, processes=1)


def test_the_dataset_json_is_looked_for_beside_the_labels(folders):
    (folders / "dataset.json").write_text(json.dumps({"file_ending": ".png", **LABELS}))
    done = evaluate_folders(folders / "predictions", folders / "labels", processes=1)
    assert (done.summary, done.table) == (folders / "predictions/summary.json", folders / "predictions/cases.csv")
    assert [row.label for row in done.scores] == ["a", "b", "none"]
    (folders / "dataset.json").unlink()
    text = rf"^{folders / 'dataset.json'} does not exist: .* `dataset_json=FILE`$"
    with pytest.raises(FileNotFoundError, match=text):
        evaluate_folders(folders / "predictions", folders / "labels")


def test_missing_predictions_are_told_apart_from_missing_labels(folders):
    (folders / "predictions/a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 label .*\n  a\.png\n.*`allow_missing=True`\.$"):
        evaluate(folders)
    (folders / "predictions/c.png").rename(folders / "predictions/d.png")
    with pytest.raises(FileNotFoundError, match=r"1 prediction .* has no label .*\n  d\.png$") as error:
        evaluate(folders, allow_missing=True)
    assert "allow_missing" not in str(error.value)


def test_swapped_folders_are_told(folders, tmp_path):
    (tmp_path / "raw").mkdir()
    (folders / "labels").rename(tmp_path / "raw" / "labels")
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps({"file_ending": ".png", **LABELS}))
    labels, predictions = tmp_path / "raw" / "labels", folders / "predictions"
    way_out = f"Name {predictions} as the folder of predictions, and {labels} as that of labels"
    with pytest.raises(ValueError, match=rf"look swapped: .* none beside {predictions}\. {way_out}$"):
        evaluate_folders(labels, predictions)
    (predictions / "predict_from_raw_data_args.json").write_text("{}")
    with pytest.raises(ValueError, match=r"look swapped: .* holds predict_from_raw_data_args\.json, as nnU-Net's"):
        evaluate_folders(labels, predictions, tmp_path / "raw" / "dataset.json")


def measured(folders, measure=MEASURE):
    return evaluate_folders(
        folders / "predictions", folders / "labels", folders / "dataset.json", processes=1, distances=measure
    )


def test_distances_stand_beside_the_counts_under_the_same_names(folders):
    evaluate(folders, REGIONS)
    done = measured(folders)
    (whole, core) = done.scores
    assert (whole.label, whole.distances.unit) == ("whole", "pixel")
    maps = [
        [np.asarray(Image.open(folders / folder / f"{name}.png")) for name in "abc"]
        for folder in ("predictions", "labels")
    ]
    expected = [mask_distances(one == 2, other == 2, MEASURE).hd95 for one, other in zip(*maps, strict=True)]
    assert core.distances.hd95 == pytest.approx(np.mean(expected))
    as_dict = done.as_dict()
    assert as_dict["labels"][1]["per_case"].keys() == {
        *("mean_dice", "mean_iou", "mean_hd95", "mean_assd", "mean_nsd", "distance_unit")
    }
    assert as_dict["distances"] | {"empty_masks": ""} == {
        "convention": "surface",
        "unit": "pixel",
        "nsd_tolerance": 2.0,
        "empty_masks": "",
    }
    json.dumps(as_dict, allow_nan=False)
    with (folders / "predictions" / "cases.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "core"]
    assert [float(row["hd95"]) for row in rows] == pytest.approx(expected, abs=1e-6)
    assert {row["distance_unit"] for row in rows} == {"pixel"}


def test_without_distances_nothing_is_said_of_them(folders):
    evaluate(folders)
    as_dict = evaluate_folders(folders / "predictions", folders / "labels", processes=1).as_dict()
    assert as_dict.keys() == {"n_cases", "labels", "summary", "cases"}
    assert as_dict["labels"][0]["per_case"].keys() == {"mean_dice", "mean_iou"}


def test_volumes_are_measured_in_mm_and_others_are_not_mixed_with_them(folders):
    for folder in ("predictions", "labels"):
        for path in (folders / folder).iterdir():
            volume = np.repeat(np.asarray(Image.open(path))[None], 4, axis=0)
            tifffile.imwrite(path.with_suffix(".tif"), volume, photometric="minisblack")
            path.with_suffix(".json").write_text(json.dumps({"spacing": [3, 0.5, 0.5]}))
    dataset = {**LABELS, "file_ending": ".tif", "overwrite_image_reader_writer": "Tiff3DIO"}
    (folders / "dataset.json").write_text(json.dumps(dataset))
    done = measured(folders)
    label = [np.repeat(np.asarray(Image.open(folders / folder / "a.png"))[None] == 1, 4, axis=0) for folder in FOLDERS]
    expected = mask_distances(*label, MEASURE, spacing=(3, 0.5, 0.5))
    assert done.distances.by_case["a"]["a"] == expected
    assert (done.distances.unit, done.distances.tolerance) == ("mm", 1)
    (folders / "labels" / "b.json").unlink()
    with pytest.raises(ValueError, match=r"a\.tif tells its spacing, and .*b\.tif does not: .* score them apart"):
        measured(folders)
    (folders / "labels" / "a.json").write_text(json.dumps({"spacing": [3, 0.5, 0.6]}))
    with pytest.raises(
        ValueError, match=r"a\.tif: the prediction has a spacing of 3 × 0\.5 × 0\.5 mm, its label of 3 ×"
    ):
        measured(folders)


@pytest.mark.parametrize("convention", ["surface", "medpy"])
def test_missing_more_never_improves_a_score(folders, convention):
    for number, name in enumerate("abc", 1):
        label = np.zeros((2, 20, 30), np.uint8)
        label[0, 3:12, 4:14] = 1
        label[1, 3 : 12 - 2 * number, 6:20] = 1
        for folder, label_map in zip(("labels", "predictions"), label, strict=True):
            Image.fromarray(label_map).save(folders / folder / f"{name}.png")
    (folders / "dataset.json").write_text(json.dumps({"file_ending": ".png", "labels": {"background": 0, "a": 1}}))
    found = []
    for name in ("", *"abc"):
        if name:
            Image.fromarray(np.zeros((20, 30), np.uint8)).save(folders / "predictions" / f"{name}.png")
        (row,) = measured(folders, measure=DistanceMeasure(convention=convention)).scores
        found.append([row.mean_case_dice, row.mean_case_iou, -row.distances.hd95, -row.distances.assd])
        if convention == "surface":
            found[-1].append(row.distances.nsd)
    for before, after in pairwise(found):
        assert (np.array(after) < before).all()


def test_a_name_whose_accents_are_encoded_otherwise_is_told(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))
    for folder, name in (("predictions", composed), ("labels", decomposed)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / folder / name)
    content = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "channel_names": {"0": "R"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(FileNotFoundError, match=rf"there is {composed}, whose accents are encoded in another way"):
        evaluate_folders(tmp_path / "predictions", tmp_path / "labels")


def test_an_empty_folder_of_references_is_told(tmp_path):
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "labels" / ".hidden").touch()
    with pytest.raises(FileNotFoundError, match=r"labels is empty, expected label maps or masks; name the folder"):
        evaluate_folders(tmp_path / "predictions", tmp_path / "labels")
