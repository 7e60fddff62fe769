import json

import pytest

from nnunet_mamba.results.layout import ModelName
from nnunet_mamba.results.trained_fold import read_fold
from nnunet_mamba.results.training_logs import training_logs


@pytest.fixture
def fold(tmp_path, summary, training_log):
    folder = tmp_path / "Dataset001_Skin" / "nnUNetTrainerX_2epochs__nnUNetPlans__2d" / "fold_3"
    (folder / "validation").mkdir(parents=True)
    summary.rename(folder / "validation" / "summary.json")
    (folder / "training_log_2026_11_20_20_55_22.txt").write_text(training_log)
    configurations = {
        "base": {"patch_size": [64, 96], "batch_size": 2},
        "2d": {"inherits_from": "base", "batch_size": 5},
    }
    (folder.parent / "plans.json").write_text(json.dumps({"configurations": configurations}))
    return folder


def test_reads_a_fold_of_nnunets_results(fold):
    trained = read_fold(fold, names={"1": "lesion"})
    assert trained.dataset == "Dataset001_Skin"
    assert trained.model == ModelName(trainer="nnUNetTrainerX_2epochs", plans="nnUNetPlans", configuration="2d")
    assert trained.fold == "3"
    assert (trained.patch_size, trained.batch_size) == ((64, 96), 5)
    assert len(trained.epochs) == 2
    assert [case.identifier for case in trained.validation] == ["a", "b"]
    assert list(trained.validation[0].confusions) == ["lesion"]


def test_a_fold_without_validation_has_no_validation_cases(fold):
    (fold / "validation" / "summary.json").unlink()
    assert read_fold(fold).validation == ()


def test_refuses_what_is_no_fold(fold):
    with pytest.raises(ValueError, match="TRAINER__PLANS__CONFIGURATION"):
        read_fold(fold.parent)
    for log in training_logs(fold):
        log.unlink()
    with pytest.raises(FileNotFoundError, match="train this fold first"):
        read_fold(fold)


@pytest.mark.parametrize(
    "configurations",
    [
        {},
        {"2d": {"patch_size": [8, 8]}},
        {"2d": {"patch_size": None, "batch_size": 2}},
        {"2d": {"inherits_from": "3d"}, "3d": {"inherits_from": "2d"}},
        {"2d": 3},
    ],
)
def test_plans_without_patches_are_told(fold, configurations):
    (fold.parent / "plans.json").write_text(json.dumps({"configurations": configurations}))
    with pytest.raises(ValueError, match=r"plans\.json does not tell the patches of configuration 2d"):
        read_fold(fold)
