"""Plans are made for the device and memory that are asked for, as long as nothing has been trained with others."""

import json
from pathlib import Path

import pytest

from nnunet_mamba.planning.memory import GIB
from nnunet_mamba.reproduction import own_plans
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.own_plans import make_own_plans
from nnunet_mamba.reproduction.planned_rows import planned_rows
from nnunet_mamba.reproduction.request import ReproductionRequest

TABLE = EXPERIMENTS["ultralight-vm-unet-table-4"]
CONFIGURATION = {
    "batch_size": 8,
    "patch_size": [256, 256],
    "spacing": [1, 1],
    "median_image_size_in_voxels": [256, 256],
    "data_identifier": "nnUNetPlans_2d",
    "architecture": {"arch_kwargs": {}},
}
PLANS = "nnUNetUltraLightVM_paperPlans"


@pytest.fixture
def plan(nnunet_folders, monkeypatch):
    """Plan for 4 GiB of a CPU beside plans that were made for something else, and return how and how often."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(nnunet_folders.root / name))
    (row,) = [
        row
        for row in planned_rows(
            ReproductionRequest(experiment=TABLE, output=Path("out"), places={"isic17": Path()}, rows=[])
        )
        if row.trainer == "nnUNetTrainerUltraLightVM_paper"
    ]
    (training,) = row.trainings
    folder = nnunet_folders.root / "nnUNet_preprocessed" / training.data.folder_name
    folder.mkdir(parents=True)
    base = {"dataset_name": folder.name, "plans_name": "nnUNetPlans", "configurations": {"2d": CONFIGURATION}}
    dataset = {"channel_names": {"0": "R"}, "labels": {"background": 0, "lesion": 1}, "numTraining": 1}
    (folder / "nnUNetPlans.json").write_text(json.dumps(base))
    (folder / "dataset.json").write_text(json.dumps({**dataset, "file_ending": ".png"}))

    def write(device, size):
        origin = {"limited_by": "recipe", "device": device, "memory_budget": size}
        plans = {**base, "plans_name": PLANS, "nnunet_mamba": {"configurations": {"2d": origin}}}
        (folder / f"{PLANS}.json").write_text(json.dumps(plans))

    def plan_trainer(trainer, configurations, *, budget, **others):
        planned.append(budget)
        write(budget.device, budget.size)

    planned = []
    monkeypatch.setattr(own_plans, "plan_trainer", plan_trainer)

    def do(device, gibibytes, *, memory=4.0):
        planned.clear()
        write(device, round(gibibytes * GIB))
        request = ReproductionRequest(experiment=TABLE, output=Path("out"), places={}, device="cpu", memory=memory)
        plans, failed = make_own_plans([training], request, lambda text: None)
        assert not failed
        return plans[training], len(planned)

    do.begin = lambda: (
        nnunet_folders.root / "nnUNet_results" / folder.name / f"{row.trainer}_1epochs_seed1__{PLANS}__2d"
    ).mkdir(parents=True)
    return do


def test_plans_for_another_device_or_memory_are_made_anew(plan):
    assert plan("cpu", 4)[1] == 0
    for device, gibibytes in (("cuda", 4), ("cpu", 3)):
        own, n_planned = plan(device, gibibytes)
        assert (own.made_for, n_planned) == ("", 1)
    # Without a number it is what was free at that moment.
    assert plan("cpu", 3, memory=None)[1] == 0


def test_plans_that_a_training_has_begun_with_stay_and_say_for_what_they_were_made(plan):
    plan.begin()
    own, n_planned = plan("cuda", 3)
    assert (own.made_for, n_planned) == ("cuda and 3.00 GiB", 0)
