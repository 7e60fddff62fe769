import json
import os

import pytest

from nnunet_mamba.results.phases import phase_of

SUMMARY = json.dumps({"foreground_mean": {"Dice": 0.75}, "metric_per_case": [{}, {}]})


@pytest.fixture
def validated(tmp_path):
    """The summary of a fold that is trained and validated."""
    (tmp_path / "checkpoint_final.pth").touch()
    (tmp_path / "validation").mkdir()
    summary = tmp_path / "validation/summary.json"
    summary.write_text(SUMMARY)
    return summary


@pytest.mark.parametrize("checkpoint", ["checkpoint_latest.pth", "checkpoint_best.pth"])
def test_phases_follow_from_nnunets_files(tmp_path, checkpoint):
    fold = tmp_path / "fold_0"
    assert phase_of(fold) == "new"
    fold.mkdir()
    (fold / checkpoint).touch()
    assert phase_of(fold) == "begun"
    (fold / "checkpoint_final.pth").touch()
    assert phase_of(fold) == "trained"
    (fold / "validation").mkdir()
    for part in ("", "{}", SUMMARY[:-1]):
        (fold / "validation/summary.json").write_text(part)
        assert phase_of(fold) == "trained"
    (fold / "validation/summary.json").write_text(SUMMARY)
    assert phase_of(fold) == "complete"
    assert phase_of(fold, npz=True) == "trained"


def test_probabilities_are_complete_if_every_case_has_them_and_the_summary_came_last(tmp_path, validated):
    before, now = validated.stat().st_mtime - 5, validated.stat().st_mtime
    files = [validated.parent / f"case_{case}.npz" for case in range(2)]
    for file, phase in zip(files, ("trained", "complete"), strict=True):
        file.touch()
        os.utime(file, (before, before))
        assert phase_of(tmp_path, npz=True) == phase
    # Validated again and interrupted: this one may be torn.
    os.utime(files[1], (now + 1, now + 1))
    assert phase_of(tmp_path, npz=True) == "trained"
    assert phase_of(tmp_path) == "complete"


def test_a_summary_alone_is_not_a_complete_run(tmp_path, validated):
    (tmp_path / "checkpoint_final.pth").unlink()
    assert phase_of(tmp_path) == "new"


@pytest.mark.parametrize(
    "content",
    [b"[]", '{"foreground_mean": {"Dice": 1}}'.encode("utf-16"), b"\xff", b'{"foreground_mean": {"Dice": 2}}'],
)
def test_a_summary_without_sense_is_validated_again(tmp_path, validated, content):
    validated.write_bytes(content)
    assert phase_of(tmp_path) == "trained"


def test_a_fold_without_foreground_is_complete(tmp_path, validated):
    validated.write_text('{"foreground_mean": {"Dice": NaN}}')
    assert phase_of(tmp_path) == "complete"
