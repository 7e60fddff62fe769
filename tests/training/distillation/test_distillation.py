import json
from pathlib import Path

import numpy as np
import pytest
import torch
from distillation_cases import REGIONS, STUDENT, THREE_LABELS, batch_for, unequal

from nnunet_mamba.training.distillation.losses import teacher_terms
from nnunet_mamba.training.distillation.settings import SETTINGS_VARIABLE, TEACHER_TERMS, DistillationSettings


def _snapshot(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("patch_size", [(40, 48), (8, 32, 32)], ids=["2d", "3d"])
@pytest.mark.parametrize("labels", [None, THREE_LABELS, REGIONS], ids=["one label", "two labels", "regions"])
def test_trains_the_student_with_the_weighted_terms_and_leaves_the_teacher_alone(
    make, teach, monkeypatch, labels, patch_size
):
    monkeypatch.setenv(SETTINGS_VARIABLE, "hard=0.5,soft=2,attention=3,gradient=4,temperature=0.1")
    teach(labels=labels, patch_size=patch_size)
    trainer = make(labels=labels, patch_size=patch_size)
    trainer.load_teacher()
    batch = batch_for(trainer)
    before, taught = _snapshot(trainer.network), _snapshot(trainer.teacher)
    with torch.no_grad():
        logits = trainer.network.train()(batch["data"])
        hard = trainer.loss(logits, batch["target"])
        has_regions = trainer.label_manager.has_regions
        expected = teacher_terms(logits, trainer.teacher(batch["data"]), trainer.settings, has_regions=has_regions)
    trainer.network.load_state_dict(before)
    nnunet_loss = trainer.loss

    outputs = trainer.train_step(batch)

    assert trainer.loss is nnunet_loss
    assert outputs["hard"] == pytest.approx(hard.item(), rel=1e-4)
    assert {name: outputs[name] for name in expected} == pytest.approx(
        {name: term.item() for name, term in expected.items()}, rel=1e-4
    )
    weighted = 0.5 * outputs["hard"] + 2 * outputs["soft"] + 3 * outputs["attention"] + 4 * outputs["gradient"]
    assert outputs["loss"] == pytest.approx(weighted, rel=1e-5)
    assert len(unequal(trainer.network.state_dict(), before)) > len(before) / 2
    assert unequal(trainer.teacher.state_dict(), taught) == []
    assert not trainer.teacher.training
    assert all(not value.requires_grad and value.grad is None for value in trainer.teacher.parameters())


@pytest.mark.parametrize(
    ("variant", "weights"),
    [
        ("kl", {"kl": 1}),
        ("dkl", {"soft": 1}),
        ("dklAtt", {"soft": 1, "attention": 1}),
        ("dklGrad", {"soft": 1, "gradient": 10}),
    ],
)
def test_a_variant_of_the_trainer_has_its_own_terms(make, teach, monkeypatch, variant, weights):
    checkpoint = teach()
    monkeypatch.setenv(SETTINGS_VARIABLE, "hard=2")
    trainer = make(STUDENT.replace("_1epoch", f"_{variant}_1epoch"))
    assert trainer.load_teacher() == checkpoint
    outputs = trainer.train_step(batch_for(trainer))
    assert outputs.keys() == {"loss", "hard", *weights}
    weighted = 2 * outputs["hard"] + sum(weight * outputs[name] for name, weight in weights.items())
    assert outputs["loss"] == pytest.approx(weighted, rel=1e-5)


def test_a_variable_that_contradicts_the_variant_is_refused_before_a_teacher_is_asked_for(make, monkeypatch):
    monkeypatch.setenv(SETTINGS_VARIABLE, "gradient=1")
    trainer = make(STUDENT.replace("_1epoch", "_dklAtt_1epoch"))
    with pytest.raises(ValueError, match=f"{SETTINGS_VARIABLE}='gradient=1': gradient=1 asks for a term that the var"):
        trainer.on_train_start()
    with pytest.raises(ValueError, match="Unset gradient, or train without a variant"):
        trainer.prepare_trial_steps()


def test_a_step_can_be_tried_before_there_is_a_teacher(make):
    trainer = make()
    trainer.initialize()
    trainer.prepare_trial_steps()
    outputs = trainer.train_step(batch_for(trainer))
    assert np.isfinite(outputs["loss"])
    assert outputs.keys() - {"loss"} == {"hard", *TEACHER_TERMS} - {"kl"}


def test_only_the_student_is_optimised_and_saved(make, teach, tmp_path):
    teach()
    trainer, plain = make(), make("nnUNetTrainerUltraLBMT")
    trainer.load_teacher()
    plain.initialize()
    optimised = [value for group in trainer.optimizer.param_groups for value in group["params"]]
    assert {id(value) for value in optimised} == {id(value) for value in trainer.network.parameters()}
    trainer.save_checkpoint(str(tmp_path / "student.pth"))
    weights = torch.load(tmp_path / "student.pth", weights_only=False)["network_weights"]
    assert weights.keys() == plain.network.state_dict().keys()
    plain.network.load_state_dict(weights, strict=True)


def test_the_gradient_of_every_term_reaches_the_student(make, teach, monkeypatch):
    teach()
    gradients = {}
    for name in ("hard", "soft", "attention", "gradient"):
        others = {"hard", "soft", "attention", "gradient"} - {name}
        monkeypatch.setenv(SETTINGS_VARIABLE, ",".join(f"{other}=0" for other in others))
        torch.manual_seed(1)
        trainer = make()
        trainer.load_teacher()
        trainer.train_step(batch_for(trainer))
        gradients[name] = torch.cat([value.grad.flatten() for value in trainer.network.parameters()])
    assert all(gradient.norm() > 0 for gradient in gradients.values())
    assert not torch.allclose(gradients["hard"], gradients["soft"])


def test_the_validation_loss_is_nnunets_own(make, teach):
    teach()
    trainer = make()
    trainer.load_teacher()
    trainer.network.eval()
    batch = batch_for(trainer)
    with torch.no_grad():
        loss = trainer.loss(trainer.network(batch["data"]), batch["target"]).item()
        assert trainer.validation_step(batch)["loss"] == pytest.approx(loss)


def test_a_step_that_is_not_finite_changes_nothing_and_is_not_in_the_means(make, teach, capsys):
    teach()
    trainer = make()
    trainer.load_teacher()
    batch = batch_for(trainer)
    spoilt = {**batch, "data": batch["data"] * np.nan}
    nnunet_loss = trainer.loss
    first, second = trainer.train_step(spoilt), trainer.train_step(batch)
    assert np.isnan(first["loss"])
    assert np.isfinite(second["loss"])
    assert trainer.loss is nnunet_loss
    trainer.on_train_epoch_end([first, second])
    assert f"hard {second['hard']:.4g}, soft {second['soft']:.4g}" in capsys.readouterr().out


def _run(trainer, epochs):
    """Train up to this number of epochs and leave only what a killed run leaves."""
    trainer.num_epochs = epochs
    trainer.run_training()
    return Path(trainer.output_folder)


def test_resumes_with_its_teacher_and_settings(make, teach, monkeypatch):
    checkpoint = teach()
    folder = _run(make(), 1)
    record = json.loads((folder / "distillation.json").read_text())
    assert record == {"teacher": str(checkpoint), "settings": vars(DistillationSettings())}
    log = next(folder.glob("training_log*")).read_text()
    assert f"{checkpoint} with {SETTINGS_VARIABLE}={DistillationSettings().as_text()}" in log

    monkeypatch.setenv(SETTINGS_VARIABLE, "soft=2")
    resumed = make()
    resumed.load_checkpoint(str(folder / "checkpoint_final.pth"))
    with pytest.raises(ValueError, match=rf"began with {SETTINGS_VARIABLE}=hard=1,soft=1.*continue with hard=1,soft=2"):
        _run(resumed, 2)

    monkeypatch.delenv(SETTINGS_VARIABLE)
    resumed = make()
    resumed.load_checkpoint(str(folder / "checkpoint_final.pth"))
    _run(resumed, 2)
    assert torch.load(folder / "checkpoint_final.pth", weights_only=False)["current_epoch"] == 2

    checkpoint.unlink()
    resumed = make()
    # Validation alone goes as far as this without a teacher.
    resumed.load_checkpoint(str(folder / "checkpoint_final.pth"))
    with pytest.raises(FileNotFoundError, match="needs a trained teacher"):
        _run(resumed, 3)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"settings": 3}', '{"settings": {"soft": NaN}}', '{"settings": {"soft": null}}']
)
def test_a_record_that_does_not_tell_the_settings_is_told(make, teach, content):
    teach()
    trainer = make()
    trainer.current_epoch = 1
    record = Path(trainer.output_folder) / "distillation.json"
    record.write_text(content)
    with pytest.raises(ValueError, match=rf"{record} does not tell the settings .*Delete it to go on with hard=1"):
        trainer.load_teacher()
