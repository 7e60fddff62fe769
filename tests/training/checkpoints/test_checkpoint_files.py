import os

import pytest
import torch

from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError
from nnunet_mamba.results.checkpoints import LATEST, SPARE
from nnunet_mamba.training.checkpoints.files import (
    CheckpointWriteError,
    epoch_of_whole,
    newest_whole_checkpoint,
    write_checkpoint,
)


def save(epoch, n=1000):
    return lambda name: torch.save({"current_epoch": epoch, "network_weights": {"weight": torch.arange(n)}}, name)


def epoch_of(path):
    return torch.load(path, weights_only=False)["current_epoch"]


def test_keeps_the_latest_before_as_a_spare(tmp_path):
    for epoch in (1, 2, 3):
        write_checkpoint(tmp_path / LATEST, save(epoch), keeps_spare=True)
    write_checkpoint(tmp_path / "checkpoint_best.pth", save(3), keeps_spare=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_best.pth", LATEST, SPARE]
    assert (epoch_of(tmp_path / LATEST), epoch_of(tmp_path / SPARE)) == (3, 2)


@pytest.mark.parametrize("name", [LATEST, "checkpoint_best.pth"])
def test_a_checkpoint_of_another_training_does_not_become_the_spare(tmp_path, name):
    for epoch in (8, 9):
        write_checkpoint(tmp_path / LATEST, save(epoch), keeps_spare=True)
    write_checkpoint(tmp_path / name, save(1), keeps_spare=False)
    assert epoch_of(tmp_path / name) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, LATEST})


def test_another_training_loses_nothing_before_there_is_a_new_checkpoint(tmp_path, largest_file):
    for epoch in (8, 9):
        write_checkpoint(tmp_path / LATEST, save(epoch), keeps_spare=True)
    with largest_file(1000), pytest.raises(CheckpointWriteError):
        write_checkpoint(tmp_path / LATEST, save(1), keeps_spare=False)
    assert (epoch_of(tmp_path / LATEST), epoch_of(tmp_path / SPARE)) == (9, 8)


def test_the_epoch_of_a_file_that_is_not_whole_is_none(tmp_path):
    write_checkpoint(tmp_path / LATEST, save(3), keeps_spare=True)
    assert epoch_of_whole(tmp_path / LATEST) == 3
    (tmp_path / SPARE).write_bytes(b"PK")
    assert epoch_of_whole(tmp_path / SPARE) is None
    assert epoch_of_whole(tmp_path / "checkpoint_best.pth") is None


def test_keeps_a_spare_without_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("not supported")

    monkeypatch.setattr("os.link", no_links)
    for epoch in (1, 2):
        write_checkpoint(tmp_path / LATEST, save(epoch), keeps_spare=True)
    assert (epoch_of(tmp_path / LATEST), epoch_of(tmp_path / SPARE)) == (2, 1)


@pytest.mark.parametrize("name", [LATEST, "checkpoint_best.pth"])
def test_a_full_disk_leaves_the_one_before(tmp_path, name, largest_file):
    write_checkpoint(tmp_path / name, save(1), keeps_spare=True)
    with (
        largest_file(20_000),
        pytest.raises(CheckpointWriteError, match=rf"{name} could not be written \(\d+ MiB are free"),
    ):
        write_checkpoint(tmp_path / name, save(2, n=1_000_000), keeps_spare=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert epoch_of(tmp_path / name) == 1


def test_errors_that_are_not_of_the_disk_pass(tmp_path):
    def broken(name):
        raise RuntimeError("no such parameter")

    with pytest.raises(RuntimeError, match="no such parameter"):
        write_checkpoint(tmp_path / LATEST, broken, keeps_spare=True)
    assert list(tmp_path.iterdir()) == []


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    middle = content.index(bytes(torch.arange(500, 510).numpy().data))
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda content: b"", lambda content: bytes(len(content))])
def test_a_damaged_file_is_noticed_and_the_newest_whole_one_taken(tmp_path, damage):
    for epoch in (7, 8):
        write_checkpoint(tmp_path / LATEST, save(epoch), keeps_spare=True)
    write_checkpoint(tmp_path / "checkpoint_best.pth", save(4), keeps_spare=True)
    assert newest_whole_checkpoint(tmp_path / LATEST) == (tmp_path / LATEST, {})

    (tmp_path / LATEST).write_bytes(damage((tmp_path / LATEST).read_bytes()))
    path, damaged = newest_whole_checkpoint(tmp_path / LATEST)
    assert path == tmp_path / SPARE
    assert list(damaged) == [LATEST]

    (tmp_path / SPARE).write_bytes(b"PK")
    path, damaged = newest_whole_checkpoint(tmp_path / LATEST)
    assert path == tmp_path / "checkpoint_best.pth"
    assert sorted(damaged) == [LATEST, SPARE]


def test_without_any_whole_file_all_reasons_are_given(tmp_path):
    (tmp_path / LATEST).write_bytes(b"")
    torch.save({"weights": 1}, tmp_path / "checkpoint_best.pth")
    with pytest.raises(RuntimeError, match=rf"no checkpoint in .*{LATEST}: .*checkpoint_best\.pth: .*without --c"):
        newest_whole_checkpoint(tmp_path / LATEST)


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_file_with_code_in_it_is_refused_and_nothing_taken_in_its_place(tmp_path):
    write_checkpoint(tmp_path / "checkpoint_best.pth", save(3), keeps_spare=True)
    torch.save({"current_epoch": 4, "extra": Command(tmp_path / "ran")}, tmp_path / LATEST)
    with pytest.raises(CodeInCheckpointError, match=rf"{LATEST} asks for (posix|nt)\.system"):
        newest_whole_checkpoint(tmp_path / LATEST)
    with pytest.raises(CodeInCheckpointError):
        epoch_of_whole(tmp_path / LATEST)
    assert not (tmp_path / "ran").exists()


def test_a_file_with_code_in_it_is_not_taken_in_the_place_of_another(tmp_path):
    torch.save({"current_epoch": 4, "extra": Command(tmp_path / "ran")}, tmp_path / "checkpoint_best.pth")
    write_checkpoint(tmp_path / "checkpoint_mine.pth", save(3), keeps_spare=True)
    (tmp_path / LATEST).write_bytes(b"PK")
    assert newest_whole_checkpoint(tmp_path / LATEST)[0] == tmp_path / "checkpoint_mine.pth"
    assert not (tmp_path / "ran").exists()


def test_the_reasons_are_sentences(tmp_path):
    torch.save({"network_weights": {}}, tmp_path / LATEST)
    torch.save({"current_epoch": 2, "network_weights": {"a": torch.tensor(float("inf"))}}, tmp_path / SPARE)
    with pytest.raises(RuntimeError) as error:
        newest_whole_checkpoint(tmp_path / LATEST)
    assert f"{LATEST}: it is not a checkpoint of nnU-Net: it has no entry 'current_epoch'; " in str(error.value)
    assert f"{SPARE}: it has values that are not finite (in network_weights.a)" in str(error.value)


def test_a_missing_file_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        newest_whole_checkpoint(tmp_path / LATEST)
