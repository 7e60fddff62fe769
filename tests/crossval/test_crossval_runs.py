import json
import os
import zipfile

import pytest

from nnunet_mamba.crossval.runs import checkpoint_to_continue, set_damaged_checkpoints_aside

SUMMARY = json.dumps({"foreground_mean": {"Dice": 0.75}, "metric_per_case": [{}, {}]})


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
    for part in ("", "{}", SUMMARY[:-1]):
        run.summary.write_text(part)
        assert run.stage() == "trained"
    run.summary.write_text(SUMMARY)
    assert run.stage() == "complete"
    assert run.stage(npz=True) == "trained"


def test_probabilities_are_complete_if_every_case_has_them_and_the_summary_came_last(stub):
    run = stub.run()
    write_checkpoint(run.folder / "checkpoint_final.pth")
    run.summary.parent.mkdir()
    run.summary.write_text(SUMMARY)
    before, now = run.summary.stat().st_mtime - 5, run.summary.stat().st_mtime
    files = [run.summary.parent / f"case_{case}.npz" for case in range(2)]
    for file, stage in zip(files, ("trained", "complete"), strict=True):
        file.touch()
        os.utime(file, (before, before))
        assert run.stage(npz=True) == stage
    # Validated again and interrupted: this one may be torn.
    os.utime(files[1], (now + 1, now + 1))
    assert run.stage(npz=True) == "trained"
    assert run.stage() == "complete"


def test_a_summary_alone_is_not_a_complete_run(stub):
    run = stub.run()
    run.summary.parent.mkdir(parents=True)
    run.summary.write_text(SUMMARY)
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


def test_the_checkpoint_to_continue_is_that_of_nnunet_and_not_the_newest(stub):
    folder = stub.run().folder
    assert checkpoint_to_continue(folder) is None
    for name in ("checkpoint_best.pth", "checkpoint_latest.pth", "checkpoint_final.pth"):
        write_checkpoint(folder / name)
        write_checkpoint(folder / "checkpoint_best.pth")
        assert checkpoint_to_continue(folder) == folder / name


@pytest.mark.parametrize("dice", ["true", "null", '"0.5"', "Infinity", "-0.1", "1.5", "[0.5]"])
def test_a_dice_that_is_none_is_not_taken(stub, dice):
    run = stub.run()
    write_checkpoint(run.folder / "checkpoint_final.pth")
    run.summary.parent.mkdir()
    run.summary.write_text(f'{{"foreground_mean": {{"Dice": {dice}}}}}')
    assert run.stage() == "trained"
    with pytest.raises(ValueError, match=f"{run.summary} has the Dice .*expected 0 to 1"):
        run.dice()
    run.summary.write_text('{"foreground_mean": {"Dice": NaN}}')
    assert run.stage() == "complete"


@pytest.mark.parametrize("content", [b"[]", '{"foreground_mean": {"Dice": 1}}'.encode("utf-16"), b"\xff"])
def test_a_summary_that_is_no_object_is_validated_again(stub, content):
    run = stub.run()
    write_checkpoint(run.folder / "checkpoint_final.pth")
    run.summary.parent.mkdir()
    run.summary.write_bytes(content)
    assert run.stage() == "trained"
