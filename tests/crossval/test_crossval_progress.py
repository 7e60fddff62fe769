import json
import math

import pytest

from nnunet_mamba.crossval.progress import ProgressReader

STAMP = "2025-01-01 10:00:00.000000: "


def log_epoch(number, *, dice="0.5", seconds=3.0):
    lines = (f"Epoch {number}", f"train_loss {-number / 10}", "val_loss 0.2", f"Pseudo dice [{dice}]")
    end = (f"Epoch time: {seconds} s",) if seconds else ()
    return "".join(f"{STAMP}{line} \n" for line in (*lines, *end))


def test_nothing_is_known_before_nnunet_has_written(tmp_path):
    progress = ProgressReader(tmp_path / "fold_0").read()
    assert (progress.n_done, progress.n_epochs) == (0, None)
    assert math.isnan(progress.seconds_left)


def test_epochs_count_once_they_are_finished(tmp_path):
    log = tmp_path / "training_log_2025_1_1_10_00_00.txt"
    (tmp_path / "debug.json").write_text(json.dumps({"num_epochs": "10"}))
    reader = ProgressReader(tmp_path)
    log.write_text(log_epoch(0, seconds=None))
    assert reader.read().n_done == 0

    with log.open("a") as file:
        file.write(
            f"{STAMP}Epoch time: 3.0 s \n" + log_epoch(1, dice="np.float32(0.4), np.float32(nan), 0.6", seconds=5)
        )
    progress = reader.read()

    assert (progress.n_done, progress.n_epochs) == (2, 10)
    assert progress.train_loss == -0.1
    assert progress.pseudo_dice == pytest.approx(0.5)
    assert progress.epoch_seconds == 4
    assert progress.seconds_left == 32


def test_a_restart_that_repeats_epochs_goes_back(tmp_path):
    (tmp_path / "training_log_2025_1_1_10_00_00.txt").write_text(log_epoch(0) + log_epoch(1) + log_epoch(2))
    reader = ProgressReader(tmp_path)
    assert reader.read().n_done == 3
    (tmp_path / "training_log_2025_1_1_11_00_00.txt").write_text(log_epoch(1, dice="0.9"))
    assert reader.read().n_done == 2
    assert reader.read().pseudo_dice == 0.9


def test_what_has_not_grown_is_not_read_again(tmp_path, monkeypatch):
    log = tmp_path / "training_log_2025_1_1_10_00_00.txt"
    log.write_text(log_epoch(0))
    reader = ProgressReader(tmp_path)
    before = reader.read()
    monkeypatch.setattr("nnunet_mamba.crossval.progress.read_training_log", None)
    assert reader.read() == before
