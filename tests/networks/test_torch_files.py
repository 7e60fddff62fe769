import os
import zipfile

import numpy as np
import pytest
import torch

from nnunet_mamba.networks.torch_files import (
    CodeInFileError,
    DamagedFileError,
    no_code_from_files,
    read_torch_file,
    verify_checksums,
    write_torch_file,
)


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def saved(tmp_path):
    """Save as torch does and, if asked, change the pickle in the file."""

    def save(content, change=None):
        torch.save(content, tmp_path / "plain.pth")
        with zipfile.ZipFile(tmp_path / "plain.pth") as old, zipfile.ZipFile(tmp_path / "saved.pth", "w") as new:
            for name in old.namelist():
                part = old.read(name)
                new.writestr(name, change(part) if change and name.endswith("data.pkl") else part)
        return tmp_path / "saved.pth"

    return save


def test_a_number_in_the_other_byte_order_keeps_its_value(saved):
    backwards = np.array(0.75, ">f8").tobytes()
    forwards = np.array(0.75, "<f8").tobytes()

    def turn(content):
        return content.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00>").replace(
            forwards.decode("latin1").encode(), backwards.decode("latin1").encode()
        )

    assert read_torch_file(saved({"dice": np.float64(0.75)}, turn))["dice"] == 0.75


def test_nothing_of_numpy_but_numbers_is_made(saved):
    with pytest.raises(DamagedFileError, match=r"numpy's type 'O8', expected a number"):
        read_torch_file(saved({"extra": np.dtype("O")}))


@pytest.mark.parametrize("code", [b"f,", b"(8", b"V8", b"08", b"f0"])
def test_a_code_that_is_no_number_of_numpy_is_refused(saved, code):
    path = saved({"dice": np.float64(0.75)}, lambda part: part.replace(b"X\2\0\0\0f8", b"X\2\0\0\0" + code))
    with pytest.raises(DamagedFileError, match=r"numpy's type '.*', expected a number"):
        read_torch_file(path)


def test_a_text_of_characters_that_do_not_exist_is_refused(saved):
    path = saved({"epochs": np.str_("z")}, lambda part: part.replace(b"z\0\0\0", b"z\0\0z"))
    with pytest.raises(DamagedFileError, match="characters that do not exist"):
        read_torch_file(path)


def test_all_that_a_file_asks_for_is_named(saved, tmp_path):
    content = {"ran": Command(tmp_path / "ran"), "some": slice(3), "dice": np.float64(0.75)}
    with pytest.raises(CodeInFileError, match=r"^(builtins\.slice, )?(posix|nt)\.system(, slice)?$"):
        read_torch_file(saved(content))
    assert not (tmp_path / "ran").exists()


def test_nnunets_own_reading_is_as_careful_inside_the_block(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    whole, path = tmp_path / "whole.pth", saved({"extra": Command(tmp_path / "ran")})
    torch.save({"dice": np.float64(0.75)}, whole)
    with no_code_from_files():
        assert torch.load(whole, weights_only=False)["dice"] == 0.75
        with pytest.raises(Exception, match="system"):
            torch.load(path, weights_only=False)
    assert not (tmp_path / "ran").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    with pytest.raises(Exception, match="numpy"):
        torch.load(whole, weights_only=True)


def test_a_file_of_the_old_format_cannot_be_verified(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_torch_file(tmp_path / "old.pth", verify=True).keys() == {"weight"}
    with pytest.raises(DamagedFileError, match=r"torch\.save did not write it"):
        verify_checksums(tmp_path / "old.pth")


def test_a_file_that_was_saved_without_checksums_is_whole(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.arange(1000.0)}, tmp_path / "quick.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    verify_checksums(tmp_path / "quick.pth")
    assert read_torch_file(tmp_path / "quick.pth", verify=True).keys() == {"weight"}


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_torch_file({"a": torch.ones(2)}, tmp_path / "new" / "a.pth")
    assert torch.equal(read_torch_file(tmp_path / "new" / "a.pth")["a"], torch.ones(2))

    def full(_, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:862] . PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"b\.pth cannot be written; make room or choose another `output`"):
        write_torch_file({}, tmp_path / "new" / "b.pth")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.pth"]
