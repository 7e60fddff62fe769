"""Trainers of any name on plans written by hand, which need no planning and no images."""

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.training.generated_trainers import load_trainer, load_trainer_with_suffixes

# What nnU-Net plans for small images and volumes, with widths that are quicker than its own.
STAGES = {
    "n_stages": 3,
    "features_per_stage": [8, 16, 24],
    "n_conv_per_stage": [2] * 3,
    "n_conv_per_stage_decoder": [2] * 2,
}
ARCHITECTURE = {
    2: {**STAGES, "kernel_sizes": [[3, 3]] * 3, "strides": [[1, 1], [2, 2], [2, 2]]},
    3: {
        **STAGES,
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    },
}


def plans_for(patch_size):
    """The plans of colour images with one configuration, "2d", whatever its number of axes."""
    configuration = {
        "data_identifier": "nnUNetPlans_2d",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch_size),
        "spacing": [1.0] * len(patch_size),
        "normalization_schemes": ["ZScoreNormalization"] * 3,
        "use_mask_for_norm": [False] * 3,
        "batch_dice": True,
        "architecture": {
            "network_class_name": "not built by its name",
            "arch_kwargs": ARCHITECTURE[len(patch_size)],
            "_kw_requires_import": [],
        },
    }
    return {
        "dataset_name": "Dataset901_Tiny",
        "plans_name": "nnUNetPlans",
        "label_manager": "LabelManager",
        "configurations": {"2d": configuration},
        "continue_training": False,
    }


@pytest.fixture(scope="session")
def trainers_in():
    """Return what gives nnU-Net folders inside a folder, and returns what builds trainers in them."""

    def prepare(folder, patch):
        for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            (folder / variable).mkdir()
            patch.setenv(variable, str(folder / variable))
        # nnU-Net looks at the endings of the preprocessed files.
        cases = folder / "nnUNet_preprocessed/Dataset901_Tiny/nnUNetPlans_2d"
        cases.mkdir(parents=True)
        (cases / "case.b2nd").touch()
        dataset = {
            "channel_names": {"0": "R", "1": "G", "2": "B"},
            **{"labels": {"background": 0, "disc": 1}, "file_ending": ".png"},
        }

        def build(name, patch_size=(40, 48)):
            return load_trainer_with_suffixes(name)(plans_for(patch_size), "2d", 0, dataset, torch.device("cpu"))

        return build

    return prepare


@pytest.fixture
def build_trainer(trainers_in, tmp_path, monkeypatch):
    """Return what builds the trainer of a name for patches of a size; its ``initialize`` has not run."""
    return trainers_in(tmp_path, monkeypatch)


TEACHER = "nnUNetTrainerUltraLBM"
STUDENT = "nnUNetTrainerUltraLBMTDistill_1epoch_1iteration"


@pytest.fixture
def make(planned, monkeypatch):
    """Build a trainer of a name on the tiny data set, with changes to its dataset.json and patches."""
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)

    def make(name=STUDENT, *, fold=0, labels=None, patch_size=None, channels=3, plans_name="nnUNetPlans"):
        plans = json.loads((planned.preprocessed / "nnUNetPlans.json").read_text())
        plans["plans_name"] = plans_name
        plans["continue_training"] = False
        if patch_size:
            plans["configurations"]["2d"]["patch_size"] = list(patch_size)
            strides = [[1] * len(patch_size), [2] * len(patch_size), [2] * len(patch_size)]
            plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["strides"] = strides
        dataset = json.loads((planned.preprocessed / "dataset.json").read_text())
        dataset.update(labels or {})
        dataset["channel_names"] = {str(channel): "R" for channel in range(channels)}
        if name == "nnUNetTrainer":
            trainer = nnUNetTrainer
            # Narrower than planned, to be quick.
            architecture = plans["configurations"]["2d"]["architecture"]["arch_kwargs"]
            architecture["features_per_stage"] = [8] * architecture["n_stages"]
        else:
            trainer = load_trainer_with_suffixes(name) if "_" in name else load_trainer(name)
        return trainer(plans, "2d", fold, dataset, torch.device("cpu"))

    return make


@pytest.fixture
def teach(make):
    """Write the final checkpoint of a trainer with random weights, and return its path."""

    def teach(name=TEACHER, **changes):
        torch.manual_seed(0)
        trainer = make(name, **changes)
        trainer.initialize()
        trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
        # As nnU-Net does when a training starts.
        for name, content in (("plans", trainer.plans_manager.plans), ("dataset", trainer.dataset_json)):
            (Path(trainer.output_folder_base) / f"{name}.json").write_text(json.dumps(content))
        return Path(trainer.output_folder) / "checkpoint_final.pth"

    return teach


@pytest.fixture
def largest_file():
    """Let no file grow beyond a number of bytes for a while, as a full disk does."""

    @contextmanager
    def of(n_bytes):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return of
