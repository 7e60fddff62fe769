"""nnU-Net compiles networks on CUDA alone; our trainers do so on a CPU, too, where they are asked to."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes

# Averaged weights go in and out of the compiled network.
NAME = "nnUNetTrainerUltraLightVM_robust"


@pytest.fixture
def make_trainer(planned, monkeypatch):
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)

    def make(*, is_compiled):
        plans = json.loads((planned.preprocessed / "nnUNetPlans.json").read_text())
        plans["configurations"]["2d"]["batch_size"] = 2
        dataset = json.loads((planned.preprocessed / "dataset.json").read_text())
        trainer = load_trainer_with_suffixes(f"{NAME}_2epochs_1iteration")(
            {**plans, "continue_training": False}, "2d", 0, dataset, torch.device("cpu")
        )
        monkeypatch.setenv("NNUNET_MAMBA_COMPILE", "t" if is_compiled else "")
        trainer.initialize()
        return trainer

    return make


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ to compile for the CPU")
def test_a_compiled_training_writes_what_an_eager_one_reads(make_trainer):
    torch.manual_seed(0)
    compiled = make_trainer(is_compiled=True)
    compiled.run_training()
    assert hasattr(compiled.network, "_orig_mod")
    assert all(np.isfinite(compiled.logger.get_value("train_losses", step=None)))

    eager = make_trainer(is_compiled=False)
    eager.load_checkpoint(str(Path(compiled.output_folder) / "checkpoint_final.pth"))
    patch = eager.configuration_manager.patch_size
    images = torch.randn(2, 3, *patch, generator=torch.Generator().manual_seed(0))
    for trainer in (compiled, eager):
        trainer.set_deep_supervision_enabled(False)
        trainer.network.eval()
    with torch.no_grad():
        trained = compiled.network(images)
        torch.testing.assert_close(trained, eager.network(images), atol=1e-4, rtol=1e-4)
        with compiled._averages_in_network(), eager._averages_in_network():
            averaged = compiled.network(images)
            torch.testing.assert_close(averaged, eager.network(images), atol=1e-4, rtol=1e-4)
        assert not torch.equal(averaged, trained)


def test_without_a_compiler_a_training_runs_eager_and_says_so(make_trainer, monkeypatch):
    monkeypatch.setattr("nnunet_mamba.training.cpu_trainer.has_compiler", lambda: False)
    trainer = make_trainer(is_compiled=True)
    assert not hasattr(trainer.network, "_orig_mod")
    assert "there is no C++ compiler" in Path(trainer.log_file).read_text()


def test_another_word_than_yes_or_no_is_refused(make_trainer, monkeypatch):
    trainer = make_trainer(is_compiled=False)
    monkeypatch.setenv("NNUNET_MAMBA_COMPILE", "maybe")
    with pytest.raises(ValueError, match="NNUNET_MAMBA_COMPILE='maybe': expected t or f, or unset it"):
        trainer._do_i_compile()
