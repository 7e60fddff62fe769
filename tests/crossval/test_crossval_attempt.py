import zipfile

import pytest

from nnunet_mamba.crossval.attempt import set_damaged_checkpoints_aside


@pytest.fixture
def fold(tmp_path):
    """A fold with whole checkpoints."""
    for name in ("checkpoint_latest.pth", "checkpoint_best.pth"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("weights", "1" * 100)
    return tmp_path


def test_part_of_a_checkpoint_is_set_aside_and_whole_ones_stay(fold):
    latest = fold / "checkpoint_latest.pth"
    content = latest.read_bytes()
    latest.write_bytes(content[: len(content) // 2])
    assert set_damaged_checkpoints_aside(fold) == [fold / "checkpoint_latest.pth.damaged"]
    assert sorted(path.name for path in fold.iterdir()) == ["checkpoint_best.pth", "checkpoint_latest.pth.damaged"]


def test_trainers_that_keep_a_spare_see_to_damage_themselves(fold):
    (fold / "checkpoint_previous.pth").touch()
    (fold / "checkpoint_latest.pth").write_bytes(b"PK part")
    assert set_damaged_checkpoints_aside(fold) == []
    assert (fold / "checkpoint_latest.pth").exists()
