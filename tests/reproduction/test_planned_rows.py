"""Which trainings the rows of a table need, and the reasons of those that cannot be run."""

from dataclasses import replace
from pathlib import Path

import pytest

from nnunet_mamba.published_results import OurNetwork
from nnunet_mamba.reproduction import row_trainers
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.planned_rows import planned_rows, rows_of, stopped_rows, trainings_by_data
from nnunet_mamba.reproduction.request import Budget, ReproductionRequest
from nnunet_mamba.trainer_name import TrainerName

TABLE = EXPERIMENTS["ultralbm-unet-table-1"]


def request(experiment=TABLE, *, given=("isic17", "isic18", "ph2"), **changes):
    places = {dataset: Path(dataset) for dataset in given}
    return ReproductionRequest(experiment=experiment, output=Path("out"), places=places, **changes)


def rows(*methods, **changes):
    return {(row.row.method, row.row.setting.dataset): row for row in planned_rows(request(rows=methods, **changes))}


def test_a_training_is_named_by_network_recipe_and_budget_and_shared_by_tables():
    row = rows("UltraLBM-UNet", budget=Budget(epochs=20, iterations=5))["UltraLBM-UNet", "isic17"]
    (training,) = row.trainings
    assert training.trainer == "nnUNetTrainerUltraLBM_paper_20epochs_5iterations"
    assert training.trainer_with(2) == "nnUNetTrainerUltraLBM_paper_20epochs_5iterations_seed2"
    assert training.data.folder_name == "Dataset731_ISIC17_70_30"
    other = planned_rows(request(EXPERIMENTS["ultralbm-unet-table-5"], given=["isic17"], rows=["Kernel = 3, 5, 7"]))
    assert other[0].trainings == rows("UltraLBM-UNet")["UltraLBM-UNet", "isic17"].trainings


def test_an_external_test_takes_the_models_of_all_data_sets_that_are_given():
    row = rows("UltraLBM-UNet")["UltraLBM-UNet", "ph2"]
    assert [training.data.dataset for training in row.trainings] == ["isic17", "isic18"]
    assert row.test == TABLE.data["ph2"]
    (training,) = rows("UltraLBM-UNet", given=["isic18", "ph2"])["UltraLBM-UNet", "ph2"].trainings
    assert training.data.dataset == "isic18"


def test_a_student_brings_its_teacher_which_is_trained_once_and_first():
    found = rows("UltraLBM-UNet-T", given=["isic17"])
    assert [one.trainer for one in found["UltraLBM-UNet-T", "isic17"].teachers] == ["nnUNetTrainerUltraLBM_paper"]
    (trainings,) = trainings_by_data(rows("UltraLBM-UNet", "UltraLBM-UNet-T", given=["isic17"]).values()).values()
    names = [training.trainer for training in trainings]
    assert names == ["nnUNetTrainerUltraLBM_paper", "nnUNetTrainerUltraLBMTDistill_paper"]


@pytest.mark.parametrize(
    ("method", "dataset", "given", "reason"),
    [
        ("UltraLBM-UNet", "isic18", ["isic17"], "name their folder with `data=isic18=FOLDER`"),
        ("UltraLBM-UNet", "ph2", ["isic17"], "name their folder with `data=ph2=FOLDER`"),
        ("UltraLBM-UNet", "ph2", [], "`data=ph2=FOLDER` and `data=isic17=FOLDER` and `data=isic18=FOLDER`"),
        ("U-KAN", "isic17", ["isic17"], "There is no such network here"),
    ],
)
def test_a_row_that_cannot_be_run_has_its_reason(method, dataset, given, reason):
    row = rows(method, given=given)[method, dataset]
    assert reason in row.reason
    assert not trainings_by_data([row])


def test_ablations_are_trained_by_the_names_of_their_variants():
    def trainers(table, method):
        return [row.trainer for row in planned_rows(request(EXPERIMENTS[table], given=["isic17"], rows=[method]))]

    assert trainers("ultralbm-unet-table-6", "w/o") == ["nnUNetTrainerUltraLBM_noSkipScale_paper"]
    assert trainers("ultralbm-unet-table-7", "KL-Distill") == ["nnUNetTrainerUltraLBMTDistill_kl_paper"]
    assert trainers("vm-unet-table-iv", "0.1")[0] == "nnUNetTrainerVMUNet_dropPath01_paper"
    (row,) = planned_rows(request(EXPERIMENTS["ultralbm-unet-table-7"], given=["isic17"], rows=["DKL+Grad"]))
    assert [one.trainer for one in row.teachers] == ["nnUNetTrainerUltraLBM_paper"]


def test_an_ablation_without_a_trainer_names_its_overrides(monkeypatch):
    changed = replace(rows_of(TABLE)[0], network=OurNetwork(preset="vm_unet", overrides={"drop_path_rate": 0.7}))
    with pytest.raises(row_trainers.NoTrainerError, match=r"No trainer of vm_unet has drop_path_rate=0\.7: .*Path0"):
        row_trainers.trainers_of_row(changed, TABLE, None)


def test_the_nearest_network_stands_in_for_one_that_is_not_here(monkeypatch):
    monkeypatch.setattr(row_trainers, "missing_packages", lambda preset: [])
    row = rows("UNet++", given=["isic17"])["UNet++", "isic17"]
    assert row.trainer == "nnUNetTrainerMonaiUnetPlusPlus_paper"
    assert row.reason == ""


def test_a_network_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(row_trainers, "missing_packages", lambda preset: ["somewhere"])
    row = rows("UltraLBM-UNet")["UltraLBM-UNet", "isic17"]
    assert "ultralbm_unet needs somewhere: pip install" in row.reason


def test_sizes_of_images_have_data_sets_of_their_own():
    found = planned_rows(request(EXPERIMENTS["vm-unet-table-vi"], given=["isic17", "isic18"]))
    sizes = {row.row.method: row.trainings[0].data.size for row in found}
    assert sizes == {"256×256": 256, "384×384": 384, "512×512": 512}
    assert len({row.trainings for row in found}) == 6


def test_methods_with_commas_in_their_names_can_be_listed():
    experiment = EXPERIMENTS["ultralbm-unet-table-5"]
    found = planned_rows(request(experiment, rows=["kernel = 3, 3, 5,Unified Kernel = 7, Kernel = 3, 5, 7"]))
    assert [row.row.method for row in found] == ["Unified Kernel = 7", "Kernel = 3, 3, 5", "Kernel = 3, 5, 7"]
    depths = EXPERIMENTS["vm-unet-table-v"]
    assert len(planned_rows(request(depths, rows=["{2,2,2,2-2,2,2,1}"]))) == 2


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="`rows` 'UltraLBM' is no method of the table: did you mean UltraLBM-UNet"):
        rows("UltraLBM")
    with pytest.raises(ValueError, match="`rows` 'x' is no method of the table: there are U-Net, "):
        rows("UltraLBM-UNet, x")


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_all_trainers_of_all_tables_exist(experiment):
    found = planned_rows(request(experiment, given=experiment.data))
    assert [row.row for row in found] == rows_of(experiment)
    trainers = {one.trainer for row in found for one in (*row.trainings, *row.teachers)}
    assert trainers
    for name in trainers:
        assert TrainerName.parse(name).is_ours
        assert not TrainerName.parse(name).unknown
        assert TrainerName.parse(name).recipe == "paper"


def test_a_training_that_fails_stops_the_rows_that_stand_on_it_alone():
    found = list(rows("UltraLBM-UNet", "UltraLBM-UNet-T").values())
    failed = next(row for row in found if row.row.setting.dataset == "isic17" and not row.teachers).trainings[0]
    after = {(row.row.method, row.row.setting.dataset): row for row in stopped_rows(found, {failed: "It broke."})}
    assert after["UltraLBM-UNet", "isic17"].reason == "It broke."
    assert after["UltraLBM-UNet", "isic18"].reason == ""
    # The student of that teacher, too; models of the other data set go on to the external test.
    assert after["UltraLBM-UNet-T", "isic17"].reason == "It broke."
    assert [one.data.dataset for one in after["UltraLBM-UNet-T", "ph2"].trainings] == ["isic18"]
    # The first reason stays.
    again = stopped_rows(list(after.values()), {failed: "Another."})
    assert "Another." not in {row.reason for row in again}


@pytest.mark.parametrize("variable", ["NNUNET_MAMBA_TEACHER", "NNUNET_MAMBA_DISTILLATION"])
def test_a_student_is_not_run_where_the_environment_changes_its_result_under_the_same_name(monkeypatch, variable):
    monkeypatch.setenv(variable, "x")
    found = rows("UltraLBM-UNet", "UltraLBM-UNet-T", given=["isic17"])
    reason = found["UltraLBM-UNet-T", "isic17"].reason
    assert reason.startswith(f"{variable} in the environment would train it with ")
    assert f"unset {variable}, and run the same command again." in reason
    assert found["UltraLBM-UNet", "isic17"].reason == ""
