import pytest

from nnunet_mamba.external_tests.trainings import TrainingsRequest, find_trainings, training_in

DATASET = "Dataset017_ISIC"


@pytest.fixture
def results(tmp_path):
    """Trainings as nnU-Net's folders, with empty checkpoints."""
    for name, folds in {
        "nnUNetTrainerA__nnUNetPlans__2d": "01",
        "nnUNetTrainerA_seed3__nnUNetPlans__2d": "0",
        "nnUNetTrainerA__otherPlans__2d": "0",
        "nnUNetTrainerA__nnUNetPlans__3d_fullres": "0",
        "nnUNetTrainerB__nnUNetPlans__2d": "2",
    }.items():
        for fold in folds:
            folder = tmp_path / DATASET / name / f"fold_{fold}"
            folder.mkdir(parents=True)
            (folder / "checkpoint_final.pth").touch()
    return tmp_path


def _found(results, **request):
    found = find_trainings(results, TrainingsRequest(dataset="17", **request))
    return {str(training.name): folds for training, folds in found}


def test_a_trainer_stands_for_its_repeats_from_other_seeds(results):
    found = _found(results, trainers=["nnUNetTrainerA"], configuration="2d", plans="nnUNetPlans")
    assert found == {"nnUNetTrainerA__nnUNetPlans__2d": ["0", "1"], "nnUNetTrainerA_seed3__nnUNetPlans__2d": ["0"]}


def test_a_name_with_a_seed_stands_for_that_seed_alone(results):
    assert list(_found(results, trainers=["nnUNetTrainerA_seed3"])) == ["nnUNetTrainerA_seed3__nnUNetPlans__2d"]


def test_no_trainer_means_all(results):
    assert len(_found(results)) == 5


def test_the_fold_of_all_cases_counts_only_without_others(results):
    folder = results / DATASET / "nnUNetTrainerB__nnUNetPlans__2d"
    (folder / "fold_all").mkdir()
    (folder / "fold_all/checkpoint_final.pth").touch()
    assert _found(results, trainers=["nnUNetTrainerB"]) == {folder.name: ["2"]}
    (folder / "fold_2/checkpoint_final.pth").unlink()
    (folder / "fold_2").rmdir()
    assert _found(results, trainers=["nnUNetTrainerB"]) == {folder.name: ["all"]}


def test_folds_that_have_not_ended_are_listed(results):
    (results / DATASET / "nnUNetTrainerA__nnUNetPlans__2d/fold_4").mkdir()
    with pytest.raises(ValueError, match=r"(?s)1 training has no checkpoint_final.*nnUNetPlans__2d: fold 4") as error:
        _found(results, trainers=["nnUNetTrainerA"], configuration="2d", plans="nnUNetPlans")
    assert "fold 0" not in str(error.value)


def test_a_fold_that_is_asked_for_must_be_there_in_every_training(results):
    with pytest.raises(ValueError, match="nnUNetTrainerA_seed3__nnUNetPlans__2d: fold 1"):
        _found(results, trainers=["nnUNetTrainerA"], configuration="2d", plans="nnUNetPlans", folds=["0", "1"])


def test_an_unknown_trainer_is_told_with_those_that_there_are(results):
    with pytest.raises(
        FileNotFoundError, match=r"(?s)no training of nnUNetTrainerC in .*nnUNetTrainerB__nnUNetPlans__2d"
    ):
        _found(results, trainers=["nnUNetTrainerA", "nnUNetTrainerC"])


def test_a_folder_of_other_things_is_no_training(tmp_path):
    assert training_in(tmp_path) is None
