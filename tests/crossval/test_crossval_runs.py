import json
import zipfile

import pytest

from nnunet_mamba.crossval.runs import newest_checkpoint, set_damaged_checkpoints_aside


def write_checkpoint(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights", "1" * 100)


def test_a_run_lies_where_nnunet_writes_it(stub):
    run = stub.run(fold=3)
    assert run.folder == stub.results / "Dataset901_Tiny/A__nnUNetPlans__2d/fold_3"
    assert run.log == stub.results / "Dataset901_Tiny/crossval_logs/A__nnUNetPlans__2d__fold_3.log"


@pytest.mark.parametrize("checkpoint", ["checkpoint_latest.pth", "checkpoint_best.pth"])
def test_stages_follow_from_nnunets_files(stub, checkpoint):
    run = stub.run()
    assert run.stage() == "new"
    write_checkpoint(run.folder / checkpoint)
    assert run.stage() == "begun"
    write_checkpoint(run.folder / "checkpoint_final.pth")
    assert run.stage() == "trained"
    run.summary.parent.mkdir()
    run.summary.write_text("{}")
    assert run.stage() == "complete"
    assert run.stage(npz=True) == "trained"
    (run.summary.parent / "case.npz").touch()
    assert run.stage(npz=True) == "complete"


def test_a_summary_alone_is_not_a_complete_run(stub):
    run = stub.run()
    run.summary.parent.mkdir(parents=True)
    run.summary.write_text("{}")
    assert run.stage() == "new"


def test_dice_is_that_of_the_summary_and_another_file_is_refused(stub):
    run = stub.run()
    run.summary.parent.mkdir(parents=True)
    run.summary.write_text(json.dumps({"foreground_mean": {"Dice": 0.75}}))
    assert run.dice() == 0.75
    run.summary.write_text(json.dumps({"mean": {}}))
    with pytest.raises(ValueError, match=r"summary\.json has no foreground_mean with a Dice, .* delete it"):
        run.dice()


def test_part_of_a_checkpoint_is_set_aside_and_whole_ones_stay(stub):
    folder = stub.run().folder
    for name in ("checkpoint_latest.pth", "checkpoint_best.pth"):
        write_checkpoint(folder / name)
    latest = folder / "checkpoint_latest.pth"
    content = latest.read_bytes()
    latest.write_bytes(content[: len(content) // 2])

    assert set_damaged_checkpoints_aside(folder) == [folder / "checkpoint_latest.pth.damaged"]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint_best.pth", "checkpoint_latest.pth.damaged"]


def test_trainers_that_keep_a_spare_see_to_damage_themselves(stub):
    folder = stub.run().folder
    write_checkpoint(folder / "checkpoint_previous.pth")
    (folder / "checkpoint_latest.pth").write_bytes(b"PK part")
    assert set_damaged_checkpoints_aside(folder) == []
    assert (folder / "checkpoint_latest.pth").exists()


def test_no_checkpoint_is_older_than_any(stub):
    folder = stub.run().folder
    assert newest_checkpoint(folder) == 0
    write_checkpoint(folder / "checkpoint_best.pth")
    assert newest_checkpoint(folder) == (folder / "checkpoint_best.pth").stat().st_mtime
