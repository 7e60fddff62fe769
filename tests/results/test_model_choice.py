import pytest

from nnunet_mamba.results.model_choice import find_results

TRAINER, OTHER = "nnUNetTrainerUltraLightVM_20epochs", "nnUNetTrainer"


@pytest.fixture
def results(tmp_path):
    for name in (f"{TRAINER}__nnUNetPlans__2d", f"{OTHER}__nnUNetPlans__2d", f"{OTHER}__nnUNetPlans__3d_fullres"):
        fold = tmp_path / "Dataset101_ISIC" / name / "fold_0"
        fold.mkdir(parents=True)
        (fold / "checkpoint_final.pth").touch()
    (tmp_path / "Dataset101_ISIC" / "nnUNetTrainerVMUNet__nnUNetPlans__2d" / "fold_0").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("dataset", ["101", "Dataset101_ISIC"])
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"trainer": TRAINER}, f"{TRAINER}__nnUNetPlans__2d"),
        ({"configuration": "3d_fullres"}, f"{OTHER}__nnUNetPlans__3d_fullres"),
        ({"trainer": OTHER, "configuration": "2d", "plans": "nnUNetPlans"}, f"{OTHER}__nnUNetPlans__2d"),
    ],
)
def test_as_much_of_a_name_as_is_needed_is_enough(results, dataset, given, found):
    assert find_results(results, dataset, **given).folder == results / "Dataset101_ISIC" / found


def test_several_models_that_fit_are_listed_with_what_tells_them_apart(results):
    with pytest.raises(ValueError, match="choose with `trainer`, `plans` or `configuration`") as error:
        find_results(results, "101", trainer=OTHER)
    assert f"2 trained models in {results / 'Dataset101_ISIC'} fit" in str(error.value)
    assert f"  -tr {OTHER} -p nnUNetPlans -c 3d_fullres" in str(error.value)


def test_a_model_that_is_missing_or_unfinished_is_told_with_those_that_are_there(results):
    with pytest.raises(FileNotFoundError, match="no trained model of nnUNetTrainerVMUNet in") as error:
        find_results(results, "101", trainer="nnUNetTrainerVMUNet")
    assert f"  -tr {TRAINER} -p nnUNetPlans -c 2d" in str(error.value)


def test_a_data_set_without_results_is_told_with_those_that_have_some(results):
    with pytest.raises(FileNotFoundError, match=r"no results of a data set '102' in .*, which has Dataset101_ISIC"):
        find_results(results, "102")


def test_a_number_of_two_data_sets_is_refused(results):
    (results / "Dataset101_Other").mkdir()
    with pytest.raises(ValueError, match="101 is the number of Dataset101_ISIC and Dataset101_Other"):
        find_results(results, "101")


def test_a_training_that_goes_on_is_found_by_its_checkpoint(results):
    folder = results / "Dataset101_ISIC" / "nnUNetTrainerVMUNet__nnUNetPlans__2d"
    (folder / "fold_0" / "checkpoint_best.pth").touch()
    assert find_results(results, "101", checkpoint_name="checkpoint_best.pth").folder == folder
