import json
import math

import pytest

from nnunet_mamba.results.training_logs import logged_seed, planned_epochs, read_training_log, training_logs


def test_reads_epochs_of_a_log(tmp_path, training_log):
    (tmp_path / "log.txt").write_text(training_log)
    first, second = read_training_log([tmp_path / "log.txt"])
    assert (first.number, first.train_loss, first.validation_loss, first.seconds) == (0, -0.0837, 0.0869, 2.34)
    assert first.pseudo_dice[0] == 0.3667
    assert math.isnan(first.pseudo_dice[1])
    assert second.pseudo_dice == (0.6163, 0.5)
    assert second.validation_loss == 1e-05


def test_a_restart_replaces_the_epochs_it_repeats(tmp_path, training_log):
    # The name's numbers are not padded: sorted as text, October comes before September.
    (tmp_path / "training_log_2026_9_30_08_00_00.txt").write_text(training_log + "2026-11-20 20:56:00.0: Epoch 2\n")
    (tmp_path / "training_log_2026_10_1_08_00_00.txt").write_text(
        "2026-10-01 08:00:00.1: Epoch 1\n2026-10-01 08:00:00.2: train_loss -0.9\n"
    )
    epochs = read_training_log(training_logs(tmp_path))
    assert [(epoch.number, epoch.train_loss) for epoch in epochs] == [(0, -0.0837), (1, -0.9)]


def test_the_number_of_epochs_is_that_of_debug_json(tmp_path):
    assert planned_epochs(tmp_path) is None
    (tmp_path / "debug.json").write_text(json.dumps({"num_epochs": "10"}))
    assert planned_epochs(tmp_path) == 10


@pytest.mark.parametrize(
    "content",
    ['{"num_epo', "[]", "null", '{"num_epochs": Infinity}', '{"num_epochs": null}', '{"num_epochs": "-3"}'],
)
def test_a_number_of_epochs_that_is_none_or_half_written_is_unknown(tmp_path, content):
    (tmp_path / "debug.json").write_text(content)
    assert planned_epochs(tmp_path) is None


RECIPE = "2026-11-20 20:55:47.0: Recipe: augmentation: photographs"


@pytest.mark.parametrize(
    ("lines", "seed"),
    [
        ([f"{RECIPE}, NNUNET_MAMBA_SEED=7"], 7),
        # A training that was continued, and a validation that followed.
        ([f"{RECIPE}, NNUNET_MAMBA_SEED=7", f"{RECIPE}, NNUNET_MAMBA_SEED=7 ", "Validation complete"], 7),
        ([f"{RECIPE}, NNUNET_MAMBA_SEED=7", RECIPE], None),
        ([f"{RECIPE}, NNUNET_MAMBA_SEED=7", f"{RECIPE}, NNUNET_MAMBA_SEED=8"], None),
        ([RECIPE], None),
        (["an unrelated NNUNET_MAMBA_SEED=7"], None),
        ([], None),
    ],
)
def test_the_seed_is_that_of_every_run_of_the_training(tmp_path, lines, seed):
    for number, line in enumerate(lines):
        (tmp_path / f"training_log_2026_1_1_1_1_{number}.txt").write_text(f"{line}\n")
    assert logged_seed(training_logs(tmp_path)) == seed
