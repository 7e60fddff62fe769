import pytest

from nnunet_mamba.crossval.selection import (
    find_dataset,
    pair_models,
    parse_folds,
    refuse_missing_device,
    refuse_teacher_of_other_folds,
    refuse_two_seeds,
    repeated_trainers,
)


@pytest.fixture
def preprocessed(tmp_path):
    for name in ("Dataset101_ISIC", "Dataset007_Liver", "Dataset007_Spleen"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize("given", ["101", "Dataset101_ISIC"])
def test_a_data_set_is_found_by_number_and_by_name(preprocessed, given):
    assert find_dataset(given, preprocessed) == "Dataset101_ISIC"


def test_a_number_that_two_data_sets_have_is_refused(preprocessed):
    with pytest.raises(ValueError, match=r"7 is the number of Dataset007_Liver and Dataset007_Spleen .* give the name"):
        find_dataset("7", preprocessed)
    assert find_dataset("Dataset007_Liver", preprocessed) == "Dataset007_Liver"


@pytest.mark.parametrize("given", ["10", "Dataset101", "ISIC"])
def test_an_unknown_data_set_is_refused_with_those_there_are(preprocessed, given):
    with pytest.raises(ValueError, match=f"no data set '{given}' .* Dataset101_ISIC.*nnUNetv2_plan_and_preprocess"):
        find_dataset(given, preprocessed)


@pytest.mark.parametrize(
    ("text", "folds"),
    [("0-4", [0, 1, 2, 3, 4]), ("0,2", [0, 2]), ("3", [3]), ("all", [0, 1, 2, 3, 4]), ("2-3, 0,3", [0, 2, 3])],
)
def test_folds(text, folds):
    assert parse_folds(text, 5) == folds


@pytest.mark.parametrize("text", ["", "a", "0..4", "1-", "-1", "0,,1", "0;1"])
def test_text_that_is_no_list_of_folds_is_refused(text):
    with pytest.raises(ValueError, match="is no list of folds, expected one such as 0-4"):
        parse_folds(text, 5)


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="range 4-0 that ends before it begins"):
        parse_folds("4-0", 5)


def test_folds_that_the_split_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"asks for folds 3, 4, and splits_final.json has 3: 0 to 2"):
        parse_folds("0-4", 3)
    assert parse_folds("all", 3) == [0, 1, 2]
    assert parse_folds("7", 8) == [7]


def test_every_trainer_is_paired_with_all_plans_or_with_its_own(tmp_path):
    for name in ("nnUNetPlans", "nnUNetVMUNetPlans", "nnUNetVMUNet_paperPlans"):
        (tmp_path / f"{name}.json").touch()
    trainers = ["nnUNetTrainerDA5", "nnUNetTrainerVMUNet", "nnUNetTrainerVMUNet_paper_2epochs_3iterations"]
    assert pair_models(["A", "B"], ["P", "Q"], tmp_path) == [("A", "P"), ("A", "Q"), ("B", "P"), ("B", "Q")]
    own = ["nnUNetPlans", "nnUNetVMUNetPlans", "nnUNetVMUNet_paperPlans"]
    assert pair_models(trainers, ["own"], tmp_path) == list(zip(trainers, own, strict=True))


def test_a_trainer_without_plans_of_its_own_is_told_with_the_command_that_makes_them(tmp_path):
    (tmp_path / "nnUNetVMUNetPlans.json").touch()
    trainers = [f"nnUNetTrainerUltraLBM_5epochs{seed}" for seed in ("", "_seed1", "_seed2")]
    trainers += ["nnUNetTrainerVMUNet_seed1", "nnUNetTrainerUltraLightVM"]
    with pytest.raises(
        ValueError, match=r"no nnUNetUltraLBMPlans\.json and no nnUNetUltraLightVMPlans\.json\. "
    ) as error:
        pair_models(trainers, ["own"], tmp_path)
    command = f"plan {tmp_path.name} --trainers nnUNetTrainerUltraLBM_5epochs,nnUNetTrainerUltraLightVM"
    assert str(error.value).endswith(command)
    with pytest.raises(ValueError, match="own stands alone"):
        pair_models(trainers, ["own", "nnUNetPlans"], tmp_path)


def test_repeats_have_the_seeds_in_their_names_and_the_first_seed_of_all_comes_first():
    trainers = ["nnUNetTrainerVMUNet", "nnUNetTrainerUltraLBM_paper_20epochs"]
    assert repeated_trainers(trainers, None) == trainers
    assert repeated_trainers(trainers, 2) == [f"{name}_seed{seed}" for seed in (1, 2) for name in trainers]


@pytest.mark.parametrize("stock", ["nnUNetTrainer_5epochs", "nnUNetTrainer_seed1", "MyTrainer"])
def test_a_trainer_of_nnunet_cannot_be_repeated(stock):
    with pytest.raises(ValueError, match=rf"^`repeats=3` trains with seeds, and {stock} takes none: .* without it$"):
        repeated_trainers(["nnUNetTrainerVMUNet", stock], 3)


def test_a_trainer_with_a_seed_is_not_given_others():
    with pytest.raises(
        ValueError, match=r"nnUNetTrainerVMUNet_seed7 has one already; leave '_seed7' out, or `repeats`"
    ):
        repeated_trainers(["nnUNetTrainerVMUNet_seed7"], 1)


def test_another_seed_in_the_environment_is_refused_for_trainers_of_ours(monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_SEED", "2")
    refuse_two_seeds(["nnUNetTrainerVMUNet", "nnUNetTrainerVMUNet_seed2", "MyTrainer_seed1"])
    with pytest.raises(
        ValueError, match="NNUNET_MAMBA_SEED=2 asks for another seed than the name 'nnUNetTrainerVMUNet_s"
    ):
        refuse_two_seeds(["nnUNetTrainerVMUNet_seed1"])
    monkeypatch.setenv("NNUNET_MAMBA_SEED", "one")
    refuse_two_seeds(["nnUNetTrainer"])
    with pytest.raises(ValueError, match="NNUNET_MAMBA_SEED='one': expected a whole number"):
        refuse_two_seeds(["nnUNetTrainerVMUNet"])


def test_a_teacher_of_one_fold_teaches_no_other():
    refuse_teacher_of_other_folds(None, [0, 1])
    refuse_teacher_of_other_folds("1", [1])
    with pytest.raises(ValueError, match=r"names the teacher of fold 1, .* fold 0 validates with. Name the folder"):
        refuse_teacher_of_other_folds("1", [1, 0])
    with pytest.raises(ValueError, match="names the teacher of fold all"):
        refuse_teacher_of_other_folds("all", [0])


def test_cuda_is_refused_where_there_will_be_none():
    with pytest.raises(ValueError, match=r"`device='cuda'`: torch finds no CUDA device here.*`device='cpu'`"):
        refuse_missing_device("cuda", executor="local", n_gpus=0, n_slurm_gpus=1)
    with pytest.raises(ValueError, match="with `slurm_gpus=0` the jobs get no GPU"):
        refuse_missing_device("cuda", executor="slurm", n_gpus=4, n_slurm_gpus=0)
    for device, executor, n_gpus in [
        ("cuda", "local", 1),
        ("cuda", "slurm", 0),
        ("cpu", "local", 0),
        (None, "local", 0),
    ]:
        refuse_missing_device(device, executor=executor, n_gpus=n_gpus, n_slurm_gpus=1)


def test_a_range_without_end_is_refused_before_it_is_built():
    with pytest.raises(ValueError, match=r"asks for folds 3, 4, 5, 6, 7, …, and"):
        parse_folds("0-999999999", 3)
    with pytest.raises(ValueError, match="asks for fold 700000000, and"):
        parse_folds("700000000", 3)
