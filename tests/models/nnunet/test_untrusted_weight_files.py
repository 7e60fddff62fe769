"""Both ways in for files of torch.save, published weights and checkpoints, take and refuse the same ones."""

import os
import re
import shutil
import zipfile

import numpy as np
import pytest
import torch

from nnunet_mamba.models.nnunet.checkpoint_reading import check_whole, read_checkpoint
from nnunet_mamba.networks.published_files import read_weights

WEIGHTS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.arange(1000.0)}


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def rewritten(path, change, **options):
    """Write the file anew with another pickle in it."""
    shutil.copyfile(path, path.with_name("copy"))
    with zipfile.ZipFile(path.with_name("copy")) as old, zipfile.ZipFile(path, "w", **options) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)


def cut(path):
    path.write_bytes(path.read_bytes()[:1500])


def without_its_end(path):
    path.write_bytes(path.read_bytes()[:-9])


def cut_old_format(path):
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False)
    cut(path)


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(3000))


def web_page(path):
    path.write_bytes(b"<html>not found</html>")


def other_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights here")


def zip_behind_a_script(path):
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


def compressed(path):
    rewritten(path, bytes, compression=zipfile.ZIP_DEFLATED)


def claims_more_than_the_file(path):
    content = bytearray(path.read_bytes())
    # The size of the last part, unpacked and packed, in the directory at the end.
    entry = content.rindex(b"PK\1\2")
    content[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(content)


def tensor_larger_than_its_bytes(path):
    torch.save({"weight": torch.zeros(7)}, path)
    rewritten(path, lambda content: content.replace(b"K\7", b"J\0\0\0\x70"))


def numpy_objects(path):
    torch.save({**WEIGHTS, "extra": np.dtype("O")}, path)


def folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = (
    *(cut, without_its_end, cut_old_format, empty, zeros, web_page, other_zip, zip_behind_a_script, compressed),
    *(claims_more_than_the_file, tensor_larger_than_its_bytes, numpy_objects, folder),
)


@pytest.fixture
def path(tmp_path):
    torch.save(WEIGHTS, tmp_path / "file.pth")
    return tmp_path / "file.pth"


@pytest.fixture(params=[read_weights, read_checkpoint], ids=["published weights", "checkpoint"])
def read(request):
    return request.param


def test_a_whole_file_is_read(read, path):
    assert torch.equal(read(path)["weight"], WEIGHTS["weight"])


def test_a_file_of_the_old_format_is_read(read, path):
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read(path)["bias"], WEIGHTS["bias"])


def test_numbers_of_numpy_beside_the_weights_are_read(read, path):
    torch.save({"state_dict": WEIGHTS, "best_dice": np.float64(0.5)}, path)
    assert read(path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_none_of_torch_save_is_refused_with_its_name_and_the_reason(read, path, damage):
    damage(path)
    words = r": (not a whole file of torch\.save \(|not a file)| cannot be read; is the file whole\? \([a-zA-Z]"
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^{re.escape(str(path))}({words})") as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert "Error" not in str(refused.value)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old format"])
def test_code_is_not_run_but_named(read, path, tmp_path, is_zip):
    content = {"model": WEIGHTS, "extra": Command(tmp_path / "ran")}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(ValueError, match=r"(posix|nt)\.system.*not read\b.*If you trust"):
        read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("verified", [read_weights, check_whole], ids=["published weights", "checkpoint"])
def test_a_changed_number_is_noticed_by_its_checksum(path, verified):
    content = bytearray(path.read_bytes())
    content[content.index(bytes(WEIGHTS["bias"][500:510].numpy().data))] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"the checksum of \S+/data/\d+ does not fit"):
        verified(path)
