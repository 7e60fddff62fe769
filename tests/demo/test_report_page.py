import json

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.demo.pipeline import DATASET, Settings, demo_steps
from nnunet_mamba.demo.report_page import write_demo_report
from nnunet_mamba.demo.steps import FinishedDemoStep

SETTINGS = Settings(n_training=5, n_unseen=1, epochs=1)
LOG = (
    "2026-11-20 20:55:22.8: Epoch 0\n2026-11-20 20:55:25.1: train_loss -0.5\n2026-11-20 20:55:25.1: Epoch time: 2.0 s\n"
)


def summary(**counts):
    return json.dumps({"metric_per_case": [{"prediction_file": "ISIC_0000006.png", "metrics": {"1": counts}}]})


@pytest.fixture
def folder(tmp_path):
    """What the steps of a demo leave behind."""
    raw, fold = tmp_path / "nnUNet_raw" / DATASET, tmp_path / SETTINGS.fold
    shipped = tmp_path / "shipped-model", tmp_path / "shipped-model-scores"
    for place in (raw / "labelsTs", fold / "validation", tmp_path / "scores", tmp_path / "predictions", *shipped):
        place.mkdir(parents=True)
    (shipped[1] / "summary.json").write_text(summary(TP=1, FP=1, FN=2, TN=60))
    (raw / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 1}, "file_ending": ".png"}')
    (tmp_path / "scores/summary.json").write_text(summary(TP=3, FP=1, FN=1, TN=59))
    (fold / "validation/summary.json").write_text(summary(TP=1, FP=1, FN=1, TN=61))
    (fold / "training_log_2026_11_20_20_55_22.txt").write_text(LOG)
    plans = {"configurations": {"2d": {"patch_size": [128, 96], "batch_size": 7}}}
    (fold.parent / "plans.json").write_text(json.dumps(plans))
    photographs = tmp_path / "photographs/unseen/images"
    photographs.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(photographs / "ISIC_0000006.jpg")
    Image.fromarray(255 * np.eye(4, dtype=np.uint8)).save(shipped[0] / "ISIC_0000006.png")
    for place in (raw / "labelsTs", tmp_path / "predictions"):
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(place / "ISIC_0000006.png")
    return tmp_path


def test_the_page_tells_the_scores_the_training_and_the_commands(folder):
    names = [step.name for step in demo_steps(folder, SETTINGS, device="cpu")]
    finished = [FinishedDemoStep(name=name, fingerprint="f", seconds=10) for name in names]
    outcome = write_demo_report(folder, SETTINGS, finished)
    assert outcome.report == folder / "report.html"
    assert outcome.seconds == 80
    assert (outcome.scores.label, outcome.scores.mean_case_dice) == ("lesion", 0.75)
    assert outcome.shipped_model.mean_case_dice == 0.4
    page = outcome.report.read_text(encoding="utf-8")
    assert "Dice 0.500 of nnU-Net&#39;s 1 validation cases" in page
    assert "nnUNetPlans, 2d: patches of 128 x 96 pixels, 7 in a batch" in page
    assert f"{SETTINGS.trainer}, fold 0, last checkpoint" in page
    assert "1 epochs of 50 iterations, 2.0 s each" in page
    assert "none of these: mean per-case Dice 0.400" in page
    assert "the model &#39;isic&#39; (dotted)" in page
    assert 'viewBox="0 0 4 4"' in page
    assert f"nnUNetv2_train 901 2d 0 -tr {SETTINGS.trainer}" in page
