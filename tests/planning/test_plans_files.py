import json
import os

import pytest

from nnunet_mamba.planning.plans_files import (
    MARK,
    merged_plans,
    read_base_plans,
    require_own_plans,
    write_plans,
)


@pytest.fixture
def base(made_up_base, nnunet_folders, monkeypatch):
    """Base plans of slices that lie where nnU-Net writes them."""
    for variable, value in nnunet_folders.environment().items():
        monkeypatch.setenv(variable, value)
    folder = nnunet_folders.preprocessed
    folder.mkdir()
    two = {**made_up_base.plans, "configurations": {"2d": made_up_base.configurations["2d"]}}
    dataset = {
        **{"channel_names": {"0": "R"}, "labels": {"background": 0, "disc": 1}},
        **{"numTraining": 10, "file_ending": ".png"},
    }
    (folder / "nnUNetPlans.json").write_text(json.dumps(two))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return read_base_plans("901", "nnUNetPlans")


@pytest.mark.parametrize("dataset", ["901", "Dataset901_Tiny"])
def test_a_data_set_is_found_by_id_and_by_name(base, nnunet_folders, dataset):
    found = read_base_plans(dataset, "nnUNetPlans")
    assert found.folder == nnunet_folders.preprocessed
    assert found.name == "nnUNetPlans"
    assert found.dataset_json["numTraining"] == 10


def test_missing_plans_are_named_with_the_command_that_makes_them(base):
    with pytest.raises(FileNotFoundError, match=r"does not exist.*nnUNetv2_plan_and_preprocess -d 901$"):
        read_base_plans("901", "otherPlans")
    with pytest.raises(FileNotFoundError, match=r"-d 901 -pl nnUNetPlannerResEncL$"):
        read_base_plans("901", "nnUNetResEncUNetLPlans")
    with pytest.raises(ValueError, match="no data set '902'"):
        read_base_plans("902", "nnUNetPlans")


def test_only_the_planned_configurations_differ_from_the_base(base):
    planned = {"2d": {**base.plans["configurations"]["2d"], "batch_size": 3}}
    plans = merged_plans(base, "nnUNetXPlans", planned, {"2d": {"trainer": "X"}})
    assert plans.pop(MARK)["configurations"] == {"2d": {"trainer": "X"}}
    assert plans == {**base.plans, "plans_name": "nnUNetXPlans", "configurations": planned}


def test_configurations_of_an_earlier_run_stay_while_the_data_are_the_same(base):
    two = base.plans["configurations"]["2d"]
    base.plans["configurations"]["3d_fullres"] = {**two, "spacing": [2, 1, 1]}
    earlier = {"3d_fullres": {**base.plans["configurations"]["3d_fullres"], "batch_size": 5}}
    write_plans(base.folder, merged_plans(base, "nnUNetXPlans", earlier, {"3d_fullres": {"trainer": "X"}}))

    both = merged_plans(base, "nnUNetXPlans", {"2d": two}, {"2d": {}})
    assert both["configurations"]["3d_fullres"]["batch_size"] == 5
    assert set(both[MARK]["configurations"]) == {"2d", "3d_fullres"}

    base.plans["configurations"]["3d_fullres"]["spacing"] = [3, 1, 1]
    again = merged_plans(base, "nnUNetXPlans", {"2d": two}, {"2d": {}})
    assert again["configurations"]["3d_fullres"] == base.plans["configurations"]["3d_fullres"]
    assert set(again[MARK]["configurations"]) == {"2d"}


def test_plans_that_others_wrote_are_told_from_ours(base):
    file = base.folder / "nnUNetXPlans.json"
    require_own_plans(base.folder, "nnUNetXPlans")
    file.write_text(json.dumps({**base.plans, "plans_name": "nnUNetXPlans"}))
    with pytest.raises(FileExistsError, match=r"nnUNetXPlans\.json was not written by nnunet-mamba plan"):
        require_own_plans(base.folder, "nnUNetXPlans")
    write_plans(base.folder, merged_plans(base, "nnUNetXPlans", {}, {}))
    require_own_plans(base.folder, "nnUNetXPlans")


def test_plans_that_cannot_be_written_leave_the_ones_before(base, monkeypatch):
    file = write_plans(base.folder, merged_plans(base, "nnUNetXPlans", {}, {}))
    before, files = file.read_text(), sorted(os.listdir(base.folder))

    def disk_full(path, *_, **__):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_plans(base.folder, merged_plans(base, "nnUNetXPlans", {"2d": {}}, {"2d": {}}))
    assert file.read_text() == before
    assert sorted(os.listdir(base.folder)) == files
