from pathlib import Path

import pytest

from nnunet_mamba.results.layout import (
    ModelName,
    fold_name,
    fold_of,
    fold_of_dataset,
    validation_summary,
)

MODEL = ModelName(trainer="nnUNetTrainer_5epochs", plans="nnUNetPlans", configuration="3d_fullres")


def test_the_name_of_a_model_is_that_of_its_folder_and_back():
    assert str(MODEL) == "nnUNetTrainer_5epochs__nnUNetPlans__3d_fullres"
    assert ModelName.parse(str(MODEL)) == MODEL


@pytest.mark.parametrize("name", ["crossval_logs", "A__P", "A__P__2d__fold_0"])
def test_other_names_are_no_models(name):
    with pytest.raises(ValueError, match=f"'{name}' is no folder .*TRAINER__PLANS__CONFIGURATION"):
        ModelName.parse(name)


def test_folds_are_named_as_nnunet_does():
    assert [fold_of(Path("/results/model") / fold_name(fold)) for fold in (3, "all")] == ["3", "all"]
    assert fold_of(Path("/results/crossval_logs")) is None
    assert validation_summary(Path("fold_0")) == Path("fold_0/validation/summary.json")


def test_a_checkpoint_is_of_one_fold_if_its_path_says_so(tmp_path):
    folder = tmp_path / "Dataset901_Tiny/T__nnUNetPlans__2d/fold_all"
    folder.mkdir(parents=True)
    (tmp_path / "teacher.pth").touch()
    assert fold_of_dataset(folder, "Dataset901_Tiny") == "all"
    assert fold_of_dataset(folder / "checkpoint_best.pth", "Dataset901_Tiny") == "all"
    for of_no_fold in (folder.parent, tmp_path / "teacher.pth"):
        assert fold_of_dataset(of_no_fold, "Dataset901_Tiny") is None
    assert fold_of_dataset(folder, "Dataset007_Other") is None
