"""The user's own path: stock nnU-Net commands, each in a fresh process."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nnunet_mamba import create_network

NAME = "nnUNetTrainerUltraLightVM"
TRAINER = f"{NAME}_2epochs_3iterations"


def _fold(folders, trainer: str) -> Path:
    return folders.results / folders.dataset / f"{trainer}__nnUNetPlans__2d" / "fold_0"


LABELS = {
    "labels": {"labels": {"background": 0, "disc": 1}},
    "three labels": {"labels": {"background": 0, "disc": 1, "ring": 2, "dot": 3}},
    "one sigmoid output": {"labels": {"background": 0, "disc": [1, 1]}, "regions_class_order": [1]},
    "nested regions": {"labels": {"background": 0, "whole": [1, 2], "core": [2, 2]}, "regions_class_order": [1, 2]},
}


# The first goes through with every change; the others train the same code with other heads.
MARKS = {
    "three labels": [pytest.mark.long],
    "one sigmoid output": [pytest.mark.slow],
    "nested regions": [pytest.mark.long],
}


@pytest.mark.parametrize("labels", [pytest.param(name, marks=MARKS.get(name, [])) for name in LABELS])
def test_train_validate_and_predict(planned, tmp_path, labels):
    description = planned.preprocessed / "dataset.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), **LABELS[labels]}))

    trained = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", TRAINER)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert torch.cuda.is_available() or "No CUDA device found: training on the CPU" in trained.stdout
    fold = _fold(planned, TRAINER)
    assert torch.load(fold / "checkpoint_final.pth", weights_only=False)["trainer_name"] == TRAINER
    summary = json.loads((fold / "validation/summary.json").read_text())
    assert len(summary["metric_per_case"]) == 2

    (fold / "validation/summary.json").unlink()
    again = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", TRAINER, "--val")
    assert again.returncode == 0, again.stdout + again.stderr
    repeated = json.loads((fold / "validation/summary.json").read_text())
    # As text: labels that are in no case have a Dice of NaN, which equals nothing.
    assert json.dumps(repeated["metric_per_case"]) == json.dumps(summary["metric_per_case"])

    images = tmp_path / "images"
    shutil.copytree(planned.root / "nnUNet_raw" / planned.dataset / "imagesTr", images)
    predicted = planned.run(
        *("nnUNetv2_predict", "-i", str(images), "-o", str(tmp_path / "masks"), "-d", "901", "-c", "2d", "-f", "0"),
        *("-tr", TRAINER, "-device", "cpu", "-npp", "1", "-nps", "1"),
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    masks = sorted((tmp_path / "masks").glob("*.png"))
    assert len(masks) == 10
    assert {np.asarray(Image.open(mask)).shape for mask in masks} == {(52, 60)}
    assert set(np.unique([np.asarray(Image.open(mask)) for mask in masks])) <= {0, 1, 2, 3}


@pytest.mark.slow
def test_a_variant_trains_and_predicts_by_its_name(planned, tmp_path):
    trainer = f"{NAME}_parallel2_2epochs_2iterations"
    trained = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", trainer)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    weights = torch.load(_fold(planned, trainer) / "checkpoint_final.pth", weights_only=False)["network_weights"]
    # Two chunks instead of four: Mamba layers of twice the width.
    with torch.device("meta"):
        expected = create_network("ultralight_vm_unet", 3, 2, n_parallel=2).state_dict()
    assert {name: value.shape for name, value in weights.items()} == {
        name: value.shape for name, value in expected.items()
    }

    images = planned.root / "nnUNet_raw" / planned.dataset / "imagesTr"
    predicted = planned.run(
        *("nnUNetv2_predict", "-i", str(images), "-o", str(tmp_path / "masks"), "-d", "901", "-c", "2d", "-f", "0"),
        *("-tr", trainer, "-device", "cpu", "-npp", "1", "-nps", "1"),
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    ours = planned.run(
        *("nnunet-mamba", "predict", str(images), "-o", str(tmp_path / "ours"), "-d", "901", "-tr", trainer),
        *("--device", "cpu"),
    )
    assert ours.returncode == 0, ours.stdout + ours.stderr
    masks = sorted((tmp_path / "masks").glob("*.png"))
    assert len(masks) == 10
    for mask in masks:
        # nnunet-mamba keeps the names of the images and writes 255 for the label.
        (own,) = (tmp_path / "ours").glob(f"{mask.stem}*.png")
        differs = (np.asarray(Image.open(own)) > 0) != (np.asarray(Image.open(mask)) > 0)
        assert differs.mean() < 1e-2


def test_a_killed_training_continues_where_it_was(planned):
    # Killed within moments of the first of them.
    n_epochs = 10
    trainer = f"{NAME}_{n_epochs}epochs_1iteration"
    fold = _fold(planned, trainer)
    command = [sys.executable, str(Path(sys.executable).parent / "nnUNetv2_train"), "901", "2d", "0", "-tr", trainer]
    process = subprocess.Popen(command, env=planned.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    while not (fold / "checkpoint_latest.pth").exists():
        assert process.poll() is None, "the training ended before its first checkpoint"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (fold / "checkpoint_final.pth").exists()

    resumed = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", trainer, "--c")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    epochs = [int(epoch) for epoch in re.findall(r"Epoch (\d+)", resumed.stdout)]
    assert epochs[0] > 0
    assert epochs == list(range(epochs[0], n_epochs))
    rates = torch.load(fold / "checkpoint_final.pth", weights_only=False)["logging"]["lrs"]
    cosines = np.cos(np.pi * np.arange(n_epochs) / n_epochs)
    assert rates == pytest.approx(list(1e-5 + 9.9e-4 * (1 + cosines) / 2))


def test_a_bad_budget_stops_with_the_valid_form(planned):
    process = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", f"{NAME}_0epochs")
    assert process.returncode != 0
    assert f"There is no trainer '{NAME}_0epochs'" in process.stderr
    assert "_<N>epochs_<M>iterations" in process.stderr
    assert list(planned.results.iterdir()) == []
