import os
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from nnunet_mamba.models.nnunet.checkpoint_reading import RESUMED, CodeInCheckpointError, check_whole, read_checkpoint


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


# As nnU-Net 2.8 writes it, after some epochs.
CHECKPOINT = {
    "network_weights": {"weight": torch.arange(6.0).reshape(2, 3), "seen": torch.tensor(4)},
    "optimizer_state": {"state": {0: {"exp_avg": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "grad_scaler_state": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 3},
    "logging": {
        "train_losses": [np.float32(0.5), np.float64(-0.25)],
        "mean_fg_dice": [np.float64("nan"), np.float64(0.75)],
        "dice_per_class_or_region": [[np.float64(0.5), 0.25]],
        "epochs": [np.int64(3), np.True_, np.str_("é")],
    },
    "_best_ema": np.float64(0.75),
    "current_epoch": 2,
    "init_args": {"plans": {"spacing": [1.0]}, "fold": 0, "dataset_json": {}, "device": torch.device("cuda")},
    "trainer_name": "nnUNetTrainerUltraLightVM",
    "inference_allowed_mirroring_axes": (0, 1),
}


def rewritten(source, target, change, **options):
    """Copy a checkpoint with another pickle in it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)


@pytest.fixture
def saved(tmp_path):
    def save(content, name="saved.pth", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"], ids=["numpy 1", "numpy 2"])
def test_reads_all_that_nnunet_writes(saved, tmp_path, module):
    here = b"numpy._core.multiarray" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else b"numpy.core.multiarray"
    rewritten(saved(CHECKPOINT), tmp_path / "other.pth", lambda content: content.replace(here, module))
    read = read_checkpoint(tmp_path / "other.pth", entries=RESUMED)
    assert read.keys() == CHECKPOINT.keys()
    assert read["logging"]["train_losses"] == [0.5, -0.25]
    assert np.isnan(read["logging"]["mean_fg_dice"][0])
    assert read["logging"]["epochs"] == [3, True, "é"]
    assert [type(value) for value in read["logging"]["epochs"]] == [np.int64, np.bool_, np.str_]
    assert (read["_best_ema"], type(read["_best_ema"])) == (0.75, np.float64)
    assert read["init_args"] == CHECKPOINT["init_args"]
    assert read["inference_allowed_mirroring_axes"] == (0, 1)
    assert torch.equal(read["network_weights"]["weight"], CHECKPOINT["network_weights"]["weight"])


def test_a_number_in_the_other_byte_order_keeps_its_value(saved, tmp_path):
    path = saved({"_best_ema": np.float64(0.75)})
    # The bytes are in the file as a text of Latin-1.
    backwards, forwards = (np.array(0.75, order).tobytes().decode("latin1").encode() for order in (">f8", "<f8"))

    def turn(content):
        for here, there in ((b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00>"), (forwards, backwards)):
            assert content.count(here) == 1
            content = content.replace(here, there)
        return content

    rewritten(path, tmp_path / "turned.pth", turn)
    assert read_checkpoint(tmp_path / "turned.pth")["_best_ema"] == 0.75


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old format"])
def test_code_is_not_run_but_named(saved, tmp_path, options):
    path = saved({**CHECKPOINT, "extra": Command(tmp_path / "ran")}, **options)
    with pytest.raises(CodeInCheckpointError, match=rf"{path} asks for (posix|nt)\.system, .*not read.*If you trust"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "asked"), [(Path("folder"), "pathlib"), (np.zeros(3), "_reconstruct"), (slice(3), "slice")]
)
def test_what_else_is_in_a_file_is_named(saved, value, asked):
    with pytest.raises(CodeInCheckpointError, match=asked):
        read_checkpoint(saved({"extra": value}))


NOT_FINITE = torch.tensor([1.0, float("nan")])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "not a checkpoint of nnU-Net: it holds a list"),
        ({"network_weights": {}}, "it has no entry 'current_epoch'"),
        ({"current_epoch": float("nan")}, "current_epoch nan, expected a number of epochs"),
        ({"current_epoch": -1}, "current_epoch -1, expected"),
        ({"current_epoch": True}, "current_epoch True, expected"),
        ({"current_epoch": "7"}, "current_epoch '7', expected"),
        ({"current_epoch": 1, "network_weights": [1]}, "network_weights that are no tensors"),
        ({"current_epoch": 1, "network_weights": {"a": 1}}, "network_weights that are no tensors"),
        ({"current_epoch": 1, "network_weights": {"a": NOT_FINITE}}, r"not finite \(in network_weights\.a\)"),
        (
            {"current_epoch": 1, "optimizer_state": {"state": {3: {"m": NOT_FINITE}}}},
            r"in optimizer_state\.state\.3\.m",
        ),
        ({"current_epoch": 1, "init_args": None}, "the entry 'init_args' of the type NoneType"),
    ],
)
def test_entries_without_a_sensible_value_are_told(saved, content, words):
    with pytest.raises(ValueError, match=words):
        read_checkpoint(saved(content), entries=("current_epoch",))


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: c[:100], lambda c: c[:-9], lambda c: bytes(1000)])
def test_damaged_files_are_told(saved, damage):
    path = saved(CHECKPOINT)
    path.write_bytes(damage(path.read_bytes()))
    for read in (read_checkpoint, check_whole):
        with pytest.raises(ValueError, match=rf"{path} cannot be read; is the file whole\? \([^)]+\)$"):
            read(path)


@pytest.mark.parametrize("n_bytes", [0, 1, 10, 100, 500, 900, 1100])
def test_a_file_of_the_old_format_that_was_cut_is_told(saved, n_bytes):
    path = saved(CHECKPOINT, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match=r"cannot be read; is the file whole\? \([a-z]"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old format"])
def test_overwritten_bytes_raise_nothing_but_a_refusal(saved, is_zip):
    path, random = saved(CHECKPOINT, _use_new_zipfile_serialization=is_zip), Random(0)
    whole, refusals = path.read_bytes(), []
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(random.choice((1, 2, 4))):
            damaged[random.randrange(min(len(damaged), 2500))] = random.randrange(256)
        path.write_bytes(damaged)
        for read in (read_checkpoint, check_whole):
            try:
                read(path)
            except ValueError as error:
                refusals.append(str(error))
    assert len(refusals) > 300
    assert all(str(path) in text for text in refusals)
