import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.external_tests.external_test import ExternalTestOptions, run_external_test
from nnunet_mamba.external_tests.files import TABLE, write_external_test
from nnunet_mamba.external_tests.models_under_test import open_models
from nnunet_mamba.prediction.predictor import Predictor

TRAINER = "nnUNetTrainerUltraLightVM"


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "clinic").mkdir(parents=True)
    (tmp_path / "masks").mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (40, 50)), ("clinic/b.png", (48, 40))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / name)
        mask = (rng.random(shape) > 0.4).astype(np.uint8) * 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name[-5]}_segmentation.png")
    return folder


@pytest.fixture
def models(trained):
    """Two folds of one seed, and one of another."""
    return open_models([trained(f"{TRAINER}_seed0", folds=(0, 1)), trained(f"{TRAINER}_seed1", folds=(2,))])


@pytest.fixture
def run_test(photographs, tmp_path):
    """Test models on the photographs, and return the test and the names of the models that were loaded."""

    def do(models, images=(photographs,), **options):
        loaded = []

        def predictor(model):
            loaded.append(f"{model.description.trainer} {' '.join(model.description.fold_names)}")
            return Predictor(model, device="cpu", mirroring=False)

        done = run_external_test(
            images,
            tmp_path / "masks",
            models,
            output=tmp_path / "out",
            predictor=predictor,
            options=ExternalTestOptions(processes=1, **options),
        )
        return done, loaded

    return do


def test_every_model_is_scored_as_evaluate_scores_its_masks(run_test, models, tmp_path):
    done, loaded = run_test(models)
    assert loaded == [f"{TRAINER}_seed0 0", f"{TRAINER}_seed0 1", f"{TRAINER}_seed1 2"]
    for one in models:
        flat = tmp_path / "flat" / one.name
        flat.mkdir(parents=True)
        for mask in ("a.png", "clinic/b.png"):
            # A data set made by hand has masks of label numbers.
            written = np.asarray(Image.open(tmp_path / "out" / one.name / mask))
            Image.fromarray(written * np.uint8(255)).save(flat / mask[-5:])
        expected = evaluate_folders(flat, tmp_path / "masks", processes=1)
        found = done.evaluations[one.name]
        assert found.scores == expected.scores
        assert [case.identifier for case in found.cases] == ["a", "b"]
    assert len({scores.pooled for name in done.evaluations for scores in done.evaluations[name].scores}) > 1
    (mean,) = done.means
    dice = [done.evaluations[one.name].scores[0].mean_case_dice for one in models]
    assert mean.means["dice"] == pytest.approx(np.mean(dice))
    assert mean.deviations["dice"] == pytest.approx(np.std(dice, ddof=1))


def test_label_maps_with_a_dataset_json_are_scored_by_their_labels(run_test, models, tmp_path):
    plain, _ = run_test(models[:1])
    raw = tmp_path / "raw"
    (raw / "labelsTs").mkdir(parents=True)
    for name in "ab":
        mask = np.asarray(Image.open(tmp_path / f"masks/{name}_segmentation.png")) // 255 * 2
        Image.fromarray(mask).save(raw / f"labelsTs/{name}.png")
    content = {"labels": {"background": 0, "disc": 2}, "file_ending": ".png", "channel_names": {"0": "R"}}
    (raw / "dataset.json").write_text(json.dumps({**content, "numTraining": 1}))
    shutil.rmtree(tmp_path / "masks")
    (raw / "labelsTs").rename(tmp_path / "masks")
    described, _ = run_test(models[:1], dataset_json=raw / "dataset.json")
    (first,), (second,) = plain.evaluations[models[0].name].scores, described.evaluations[models[0].name].scores
    assert (first.label, second.label) == ("foreground", "disc")
    assert (first.pooled, first.mean_case_dice) == (second.pooled, second.mean_case_dice)


def test_a_second_run_keeps_the_masks_that_are_there(run_test, models, tmp_path):
    first, _ = run_test(models)
    masks = sorted((tmp_path / "out").rglob("[ab].png"))
    times = [mask.stat().st_mtime_ns for mask in masks]
    masks[0].unlink()
    second, _ = run_test(models)
    assert [mask.stat().st_mtime_ns for mask in masks][1:] == times[1:]
    assert {name: done.scores for name, done in first.evaluations.items()} == {
        name: done.scores for name, done in second.evaluations.items()
    }


def test_an_image_that_cannot_be_predicted_leaves_no_score_and_all_other_masks(run_test, models, photographs, tmp_path):
    whole = (photographs / "a.png").read_bytes()
    (photographs / "a.png").write_bytes(whole[:100])
    done, loaded = run_test(models)
    assert not done.evaluations
    assert done.failures.keys() == {one.name for one in models}
    assert all(list(failed) == [str(photographs / "a.png")] for failed in done.failures.values())
    assert len(loaded) == 3
    assert len(list((tmp_path / "out").rglob("clinic/b.png"))) == 3
    (photographs / "a.png").write_bytes(whole)
    assert len(run_test(models)[0].evaluations) == 3


def test_nothing_is_predicted_where_masks_are_missing(run_test, models, tmp_path):
    (tmp_path / "masks/b_segmentation.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)1 image has no reference.*clinic/b\.png"):
        run_test(models)
    assert not (tmp_path / "out").exists()


def test_nothing_is_predicted_where_images_are_not_there(run_test, models, tmp_path):
    with pytest.raises(InvalidDatasetError, match="nothing of this name is there"):
        run_test(models, images=[tmp_path / "nowhere"])
    assert not (tmp_path / "out").exists()


def test_images_called_as_training_cases_are_refused_unless_they_are_others(run_test, models, tmp_path, monkeypatch):
    labels = tmp_path / "raw" / models[0].description.data.dataset / "labelsTr"
    labels.mkdir(parents=True)
    (labels / "b.png").touch()
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    with pytest.raises(ValueError, match=r"1 of the 2 images is called as one of its training cases \(b\)"):
        run_test(models)
    assert len(run_test(models, allow_same_names=True)[0].evaluations) == 3


def test_files_tell_each_model_and_the_mean_of_the_training(run_test, models):
    done, _ = run_test(models)
    result, table = write_external_test(done)
    content = json.loads(result.read_text(encoding="utf-8"))
    assert (content["n_cases"], content["n_models"]) == (2, 3)
    assert [(one["seed"], one["folds"]) for one in content["models"]] == [(0, ["0"]), (0, ["1"]), (1, ["2"])]
    (mean,) = content["means"]
    assert (mean["trainer"], mean["n_models"]) == (TRAINER, 3)
    assert mean["mean"]["dice"] == pytest.approx(done.means[0].means["dice"])
    assert table.name == TABLE
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["model"] * 3 + ["mean", "deviation"]
    assert float(rows[3]["dice"]) == pytest.approx(np.mean([float(row["dice"]) for row in rows[:3]]), abs=1e-6)
