import json

import pytest

from nnunet_mamba.results.layout import ModelName
from nnunet_mamba.results.trained_model import TrainedModel, finished_models

NAME = ModelName(trainer="nnUNetTrainerX", plans="nnUNetPlans", configuration="2d")


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "Dataset901_Tiny" / str(NAME)
    folder.mkdir(parents=True)
    return TrainedModel.of(folder)


def finish(folder):
    folder.mkdir(parents=True)
    (folder / "checkpoint_final.pth").touch()


def test_a_model_is_known_by_its_folder(model):
    assert (model.name, model.dataset) == (NAME, "Dataset901_Tiny")
    assert model.fold("all") == model.folder / "fold_all"
    assert [path.name for path in (model.plans_file, model.dataset_json_file)] == ["plans.json", "dataset.json"]
    with pytest.raises(ValueError, match="TRAINER__PLANS__CONFIGURATION"):
        TrainedModel.of(model.folder / "fold_0")


def test_finished_folds_are_those_with_a_final_checkpoint(model):
    assert model.finished_folds() == []
    for fold in ("all", 10, 2):
        finish(model.fold(fold))
    model.fold(1).mkdir()
    assert model.finished_folds() == ["2", "10", "all"]


def test_the_finished_models_of_a_data_set_have_a_finished_fold(tmp_path):
    assert list(finished_models(tmp_path / "Dataset902_None")) == []
    for name in (
        "B__P__2d/fold_0",
        "A__P__2d/fold_0",
        "A__P__2d/fold_1",
        "A__P__2d__old/fold_0",
        "crossval_logs/fold_0",
        ".partial-12-C__P__2d/fold_0",
    ):
        finish(tmp_path / name)
    (tmp_path / "A__Q__2d/fold_0").mkdir(parents=True)
    assert [model.folder for model in finished_models(tmp_path)] == [tmp_path / "A__P__2d", tmp_path / "B__P__2d"]


def test_the_configuration_is_that_of_the_plans_beside_the_folds(model):
    with pytest.raises(FileNotFoundError, match=r"plans\.json"):
        model.configuration()
    configurations = {"base": {"data_identifier": "P_2d", "batch_size": 2}, "2d": {"inherits_from": "base"}}
    model.plans_file.write_text(json.dumps({"configurations": configurations}))
    assert model.configuration()["batch_size"] == 2
    assert model.data_identifier() == "P_2d"


def test_plans_that_do_not_tell_the_preprocessed_data_are_named(model):
    model.plans_file.write_text(json.dumps({"configurations": {"2d": {"batch_size": 2}}}))
    with pytest.raises(ValueError, match=r"plans\.json has the data_identifier None"):
        model.data_identifier()


@pytest.mark.parametrize("content", [{}, {"configurations": [3]}, {"configurations": {"3d": {}}}, [], "x"])
def test_other_files_than_plans_are_told(model, content):
    model.plans_file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"plans\.json"):
        model.configuration()
