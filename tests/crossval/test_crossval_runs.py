import json

from nnunet_mamba.crossval.runs import LOGS


def test_a_run_lies_where_nnunet_writes_it(stub):
    run = stub.run(fold=3)
    assert run.folder == stub.results / "Dataset901_Tiny/A__nnUNetPlans__2d/fold_3"
    assert run.summary == run.folder / "validation/summary.json"
    assert run.log == stub.results / "Dataset901_Tiny" / LOGS / "A__nnUNetPlans__2d__fold_3.log"


def test_the_repeats_of_a_training_share_all_but_their_seed(stub):
    runs = [stub.run(trainer=f"nnUNetTrainerVMUNet_5epochs_seed{seed}") for seed in (0, 12)]
    assert [run.seed for run in runs] == [0, 12]
    assert {run.trainer_of_all_seeds for run in runs} == {"nnUNetTrainerVMUNet_5epochs"}
    assert {run.model_of_all_seeds for run in runs} == {"nnUNetTrainerVMUNet_5epochs__nnUNetPlans__2d"}
    assert runs[0].folder.parent.name == "nnUNetTrainerVMUNet_5epochs_seed0__nnUNetPlans__2d"
    other = stub.run(trainer="nnUNetTrainer_1epoch")
    assert (other.seed, other.trainer_of_all_seeds) == (None, "nnUNetTrainer_1epoch")


def test_a_run_is_as_far_as_its_fold(stub):
    run = stub.run()
    assert (run.phase(), run.is_trained) == ("new", False)
    run.summary.parent.mkdir(parents=True)
    (run.folder / "checkpoint_final.pth").touch()
    run.summary.write_text(json.dumps({"foreground_mean": {"Dice": 0.75}}))
    assert (run.phase(), run.is_trained, run.dice()) == ("complete", True, 0.75)
    assert run.phase(npz=True) == "trained"
