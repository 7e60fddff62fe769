import json
import os
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.models.kept_conversion import KEPT_FILE, read_kept_conversion
from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError
from nnunet_mamba.results.checkpoints import LATEST, SPARE
from nnunet_mamba.training.checkpoints.files import CheckpointWriteError
from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes
from nnunet_mamba.training.guarded_trainer import MOST_SKIPPED_STEPS
from nnunet_mamba.training.sentinel import TrainingStoppedError

BROKEN = "encoder.1.mixer"


@pytest.fixture
def make_trainer(planned, monkeypatch):
    """Build a trainer on the tiny data set; it need not be initialised."""
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)

    def make(name="nnUNetTrainerUltraLightVM_2epochs_2iterations", *, resume=False):
        plans = json.loads((planned.preprocessed / "nnUNetPlans.json").read_text())
        plans["configurations"]["2d"]["batch_size"] = 2
        dataset = json.loads((planned.preprocessed / "dataset.json").read_text())
        return load_trainer_with_suffixes(name)(
            {**plans, "continue_training": resume}, "2d", 0, dataset, torch.device("cpu")
        )

    return make


def folder(trainer):
    return Path(trainer.output_folder)


def log(trainer):
    return Path(trainer.log_file).read_text()


def epoch_of(path):
    return torch.load(path, weights_only=False)["current_epoch"]


def batch(trainer):
    generator = torch.Generator().manual_seed(0)
    patch = trainer.configuration_manager.patch_size
    data = torch.randn(2, 3, *patch, generator=generator)
    return {"data": data, "target": torch.randint(0, 2, (2, 1, *patch), generator=generator), "keys": ["b", "a"]}


def weights(trainer):
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def break_layer(trainer, name):
    layer = trainer.network.get_submodule(name)
    return layer.register_forward_hook(lambda module, inputs, output: output * float("nan"))


def test_a_step_that_is_not_finite_is_skipped_and_explained(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    trainer.on_train_epoch_start()
    assert np.isfinite(trainer.train_step(batch(trainer))["loss"])
    before = weights(trainer)
    hook = break_layer(trainer, BROKEN)
    skipped = trainer.train_step(batch(trainer))
    hook.remove()

    assert np.isnan(skipped["loss"])
    assert all(torch.equal(value, before[key]) for key, value in trainer.network.state_dict().items())
    text = log(trainer)
    assert "Epoch 0: the loss is nan. The first layer with an output that is not finite is " in text
    assert f"is {BROKEN} (Conv2d)" in text
    assert "Cases of this batch: a, b." in text
    assert f"This step is skipped (1 in a row, at most {MOST_SKIPPED_STEPS})." in text

    happened = trainer.train_step(batch(trainer))
    trainer.on_train_epoch_end([skipped, happened])
    assert trainer.logger.get_value("train_losses", step=-1) == pytest.approx(float(happened["loss"]))


def test_the_activations_of_the_step_are_gone_when_the_search_begins(make_trainer, monkeypatch):
    trainer = make_trainer()
    trainer.initialize()
    activations, alive = [], []
    trainer.network.encoder[0].register_forward_hook(lambda *values: activations.append(weakref.ref(values[2])))
    break_layer(trainer, BROKEN)
    monkeypatch.setattr(
        "nnunet_mamba.training.sentinel.find_first_non_finite",
        lambda network, rerun: alive.extend(activation() is not None for activation in activations),
    )
    trainer.train_step(batch(trainer))
    assert alive == [False]


def test_running_statistics_of_pretrained_weights_outlive_a_bad_first_step(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    trainer.network.register_buffer("running_mean", torch.zeros(3))
    trainer._sentinel.begin()
    # As nnU-Net loads weights into a network that it has initialised.
    trainer.network.running_mean.fill_(7)
    trainer.on_train_start()
    break_layer(trainer, BROKEN)
    trainer.train_step(batch(trainer))
    assert trainer.network.running_mean.tolist() == [7, 7, 7]


def test_how_the_images_were_converted_is_kept_beside_the_plans(make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    raw = tmp_path / trainer.plans_manager.dataset_name
    raw.mkdir()
    (raw / "dataset.json").write_text(json.dumps(trainer.dataset_json))
    trainer.initialize()
    trainer.on_train_start()
    model = Path(trainer.output_folder_base)
    assert (model / "plans.json").is_file()
    assert read_kept_conversion(model).is_by_hand
    (model / KEPT_FILE).unlink()
    (raw / "nnunet_mamba_conversion.json").write_text("{}")
    trainer.on_train_start()
    assert "The model does not keep how its images were converted" in log(trainer)


def test_too_many_in_a_row_stop_with_a_checkpoint_that_repeats_the_epoch(make_trainer):
    trainer = make_trainer("nnUNetTrainerUltraLightVM_2epochs_8iterations")
    trainer.initialize()
    sound = weights(trainer)
    break_layer(trainer, BROKEN)
    with pytest.raises(TrainingStoppedError, match=rf"epoch 0: {MOST_SKIPPED_STEPS + 1} steps.*{LATEST}.*--c.*_nnunet"):
        trainer.run_training()

    again = make_trainer("nnUNetTrainerUltraLightVM_2epochs_8iterations", resume=True)
    again.load_checkpoint(str(folder(trainer) / LATEST))
    assert again.current_epoch == 0
    assert all(torch.equal(value, sound[key]) for key, value in again.network.state_dict().items())
    again.run_training()
    logged = torch.load(folder(again) / "checkpoint_final.pth", weights_only=False)["logging"]
    assert {len(values) for values in logged.values()} == {2}


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(make_trainer, largest_file):
    trainer = make_trainer()
    trainer.initialize()
    trainer.save_checkpoint(str(folder(trainer) / LATEST))
    before = (folder(trainer) / LATEST).read_bytes()
    with largest_file(50_000):
        trainer.current_epoch = 1
        trainer.save_checkpoint(str(folder(trainer) / LATEST))
        with pytest.raises(CheckpointWriteError, match=r"checkpoint_final\.pth could not.*free space.*--c"):
            trainer.save_checkpoint(str(folder(trainer) / "checkpoint_final.pth"))
    assert (folder(trainer) / LATEST).read_bytes() == before
    assert not list(folder(trainer).glob(".partial*"))
    assert re.search(rf"{LATEST} could not be written .* Training goes on with the one before", log(trainer))


def test_a_whole_training_on_a_full_disk_only_fails_at_its_end(make_trainer, largest_file):
    trainer = make_trainer()
    with largest_file(50_000), pytest.raises(CheckpointWriteError):
        trainer.run_training()
    assert "No progress.png" in log(trainer)
    assert {len(values) for values in trainer.logger.get_checkpoint().values()} == {2}


def test_a_checkpoint_that_was_cut_gives_way_to_the_one_before(make_trainer):
    trainer = make_trainer("nnUNetTrainerUltraLightVM_9epochs_1iteration")
    trainer.initialize()
    for epoch in (3, 4):
        trainer.current_epoch = epoch
        trainer.save_checkpoint(str(folder(trainer) / LATEST))
    latest = folder(trainer) / LATEST
    latest.write_bytes(latest.read_bytes()[:5000])

    again = make_trainer("nnUNetTrainerUltraLightVM_9epochs_1iteration", resume=True)
    again.load_checkpoint(str(latest))
    assert again.current_epoch == 4
    assert f"{LATEST} is damaged" in log(again)
    assert f"Continuing from {SPARE} instead" in log(again)


def test_a_spare_alone_is_continued_from(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    for _ in range(2):
        trainer.save_checkpoint(str(folder(trainer) / LATEST))
    (folder(trainer) / LATEST).unlink()
    again = make_trainer(resume=True)
    again.run_training()
    assert "Epoch 1" in log(again)
    assert "Epoch 0" not in log(again)
    assert sorted(path.name for path in folder(again).glob("*.pth")) == ["checkpoint_best.pth", "checkpoint_final.pth"]


def write(trainer, name, epoch):
    """Write a checkpoint with which ``epoch`` comes next, as nnU-Net itself does."""
    trainer.current_epoch = epoch - 1
    nnUNetTrainer.save_checkpoint(trainer, str(folder(trainer) / name))
    trainer.current_epoch = 0


@pytest.mark.parametrize(
    ("files", "loaded", "epoch"),
    [
        ({SPARE: 5}, None, 5),
        ({"checkpoint_best.pth": 3, SPARE: 5}, "checkpoint_best.pth", 5),
        ({"checkpoint_best.pth": 5, SPARE: 3}, "checkpoint_best.pth", 5),
        ({LATEST: 0, SPARE: 5}, LATEST, 0),
        ({LATEST: 7, SPARE: 6}, LATEST, 7),
    ],
)
def test_the_spare_is_continued_from_where_nnunet_found_less(make_trainer, monkeypatch, files, loaded, epoch):
    trainer = make_trainer("nnUNetTrainerUltraLightVM_9epochs_1iteration", resume=True)
    trainer.initialize()
    for name, next_epoch in files.items():
        write(trainer, name, next_epoch)
    if loaded:
        trainer.load_checkpoint(str(folder(trainer) / loaded))
    monkeypatch.setattr(nnUNetTrainer, "run_training", lambda self: None)
    trainer.run_training()
    assert trainer.current_epoch == epoch


def test_a_damaged_spare_does_not_replace_what_nnunet_found(make_trainer, monkeypatch):
    trainer = make_trainer(resume=True)
    trainer.initialize()
    write(trainer, "checkpoint_best.pth", 1)
    (folder(trainer) / SPARE).write_bytes(b"PK")
    trainer.load_checkpoint(str(folder(trainer) / "checkpoint_best.pth"))
    monkeypatch.setattr(nnUNetTrainer, "run_training", lambda self: None)
    trainer.run_training()
    assert trainer.current_epoch == 1


def test_checkpoints_of_a_training_that_is_begun_anew_do_not_become_its_spare(make_trainer):
    old = make_trainer("nnUNetTrainerUltraLightVM_9epochs_1iteration")
    old.initialize()
    for epoch in (7, 8):
        old.current_epoch = epoch
        old.save_checkpoint(str(folder(old) / LATEST))
    new = make_trainer("nnUNetTrainerUltraLightVM_9epochs_1iteration")
    new.initialize()
    assert (epoch_of(folder(new) / LATEST), epoch_of(folder(new) / SPARE)) == (9, 8)
    new.save_checkpoint(str(folder(new) / "checkpoint_best.pth"))
    assert epoch_of(folder(new) / LATEST) == 9
    assert not (folder(new) / SPARE).exists()
    new.save_checkpoint(str(folder(new) / LATEST))
    assert not (folder(new) / SPARE).exists()
    new.current_epoch = 1
    new.save_checkpoint(str(folder(new) / LATEST))
    assert (epoch_of(folder(new) / LATEST), epoch_of(folder(new) / SPARE)) == (2, 1)


def test_a_run_that_was_killed_before_its_best_checkpoint_writes_it_when_it_continues(make_trainer):
    trainer = make_trainer("nnUNetTrainerUltraLightVM_1epoch_1iteration")
    trainer.run_training()
    final = folder(trainer) / "checkpoint_final.pth"
    checkpoint = torch.load(final, weights_only=False)
    # As nnU-Net leaves it: the latest checkpoint is written before the best one is known.
    torch.save({**checkpoint, "_best_ema": None}, folder(trainer) / LATEST)
    for name in ("checkpoint_final.pth", "checkpoint_best.pth"):
        (folder(trainer) / name).unlink()

    again = make_trainer("nnUNetTrainerUltraLightVM_1epoch_1iteration", resume=True)
    again.load_checkpoint(str(folder(trainer) / LATEST))
    again.run_training()
    best = torch.load(folder(trainer) / "checkpoint_best.pth", weights_only=False)
    assert best["current_epoch"] == 1
    assert best["_best_ema"] == checkpoint["logging"]["ema_fg_dice"][-1]


def test_nothing_that_only_serves_to_continue_stays(make_trainer):
    trainer = make_trainer()
    trainer.run_training()
    assert sorted(path.name for path in folder(trainer).iterdir() if path.suffix != ".txt") == [
        "checkpoint_best.pth",
        "checkpoint_final.pth",
        "debug.json",
        "progress.png",
    ]
    assert not list(folder(trainer).glob("background_workers*"))


def test_processes_keep_the_words_of_their_own_workers_until_the_training_ends(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    for rank in (0, 1):
        trainer.local_rank = rank
        trainer.get_dataloaders()
        trainer._worker_messages.write_text(f"words of {rank}")
    trainer.local_rank = 0
    words = sorted(path.read_text() for path in folder(trainer).glob("background_workers*"))
    assert words == ["words of 0", "words of 1"]
    trainer.on_train_end()
    assert not list(folder(trainer).glob("background_workers*"))


def test_a_validation_that_is_not_finite_says_what_it_means(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    outputs = {"loss": np.float32(np.nan), **{name: np.ones(1) for name in ("tp_hard", "fp_hard", "fn_hard")}}
    trainer.on_validation_epoch_end([outputs])
    assert "predictions of these weights may not be finite either" in log(trainer)


def test_a_cpu_trains_in_bf16_where_it_is_asked_to_and_validates_in_float32(make_trainer, monkeypatch):
    monkeypatch.setattr("nnunet_mamba.training.guarded_trainer.training_dtype", lambda device: torch.bfloat16)
    trainer = make_trainer()
    assert trainer.grad_scaler is None
    assert "Training in bf16 (NNUNET_MAMBA_PRECISION unset for float32)" in log(trainer)
    trainer.initialize()
    dtypes = []
    trainer.network.register_forward_hook(lambda *_: dtypes.append(torch.is_autocast_enabled("cpu")))
    assert np.isfinite(trainer.train_step(batch(trainer))["loss"])
    with torch.no_grad():
        trainer.validation_step(batch(trainer))
    assert dtypes == [True, False]
    assert all(parameter.dtype is torch.float32 for parameter in trainer.network.parameters())


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def changed(path, **entries):
    """Save a checkpoint of a real training with other entries; None takes one out."""
    content = {**torch.load(path, weights_only=False), **entries}
    torch.save({name: value for name, value in content.items() if value is not None}, path)


def test_neither_continuing_nor_validating_runs_what_is_in_a_checkpoint(make_trainer, tmp_path):
    first = make_trainer("nnUNetTrainerUltraLightVM_1epoch_1iteration")
    first.run_training()
    final = folder(first) / "checkpoint_final.pth"
    again = make_trainer("nnUNetTrainerUltraLightVM_1epoch_1iteration")
    again.load_checkpoint(str(final))
    assert (again.current_epoch, again.logger.get_value("ema_fg_dice", step=None)) == (
        1,
        first.logger.get_value("ema_fg_dice", step=None),
    )
    changed(final, _best_ema=np.float64(0.5), logging=Command(tmp_path / "ran"))
    with pytest.raises(CodeInCheckpointError, match=r"checkpoint_final\.pth asks for (posix|nt)\.system"):
        make_trainer("nnUNetTrainerUltraLightVM_1epoch_1iteration").load_checkpoint(str(final))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("entry", ["network_weights", "optimizer_state", "logging", "init_args", "_best_ema"])
def test_an_entry_that_is_missing_is_told(make_trainer, entry):
    trainer = make_trainer()
    trainer.initialize()
    trainer._best_ema = 0.5
    path = folder(trainer) / LATEST
    trainer.save_checkpoint(str(path))
    changed(path, **{entry: None})
    with pytest.raises(ValueError, match=rf"{LATEST} is not a checkpoint of nnU-Net: it has no entry '{entry}'"):
        make_trainer(resume=True).load_checkpoint(str(path))
