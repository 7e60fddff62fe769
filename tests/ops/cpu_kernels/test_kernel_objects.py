import ctypes
import hashlib
import json
import subprocess
import sys

import numba
import numpy as np
import pytest

from nnunet_mamba.ops.cpu_kernels import kernel_compiler
from nnunet_mamba.ops.cpu_kernels.kernel_cache import cache_folder
from nnunet_mamba.ops.cpu_kernels.kernel_compiler import compiled_kernel
from nnunet_mamba.ops.cpu_kernels.kernel_objects import object_file, read_object, write_object

_LARGE = np.arange(2**18, dtype=np.float32)


def _store_root(address):
    numbers = numba.carray(address, 2, numba.float32)
    numbers[1] = np.sqrt(numbers[0])


def _sum_large(address):
    numba.carray(address, 1, numba.float32)[0] = _LARGE.sum()


def _compiled(kernel):
    return numba.cfunc(numba.void(numba.types.voidptr), error_model="numpy")(kernel)


def _root_of_49(kernel):
    numbers = (ctypes.c_float * 2)(49, 0)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel.address)(ctypes.addressof(numbers))
    return numbers[1]


@pytest.fixture
def stored(tmp_path):
    file = object_file(tmp_path, _store_root)
    write_object(file, _compiled(_store_root))
    return file


def test_a_stored_kernel_runs(stored):
    assert _root_of_49(read_object(stored)) == 7


def test_another_process_runs_it_without_the_compiler(stored):
    code = f"""
import ctypes, sys
from pathlib import Path
from nnunet_mamba.ops.cpu_kernels.kernel_objects import read_object
numbers = (ctypes.c_float * 2)(49, 0)
kernel = read_object(Path({str(stored)!r}))
ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel.address)(ctypes.addressof(numbers))
print(numbers[1], "numba.np.arraymath" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.stdout == "7.0 False\n", process.stderr


def test_a_kernel_has_one_file_whose_name_tells_its_function(tmp_path):
    assert object_file(tmp_path, _store_root).name.endswith("test_kernel_objects._store_root.kernel")


def _truncate(content):
    return content[: len(content) // 2]


def _empty(content):
    return b""


def _lose_the_end(content):
    return content[: len(content) // 2].ljust(len(content), b"\0")


@pytest.mark.parametrize("damage", [_truncate, _empty, _lose_the_end])
def test_a_damaged_file_is_none(stored, damage):
    stored.write_bytes(damage(stored.read_bytes()))
    assert read_object(stored) is None


def test_a_missing_file_is_none(tmp_path):
    assert read_object(tmp_path / "none.kernel") is None


def test_code_that_calls_what_is_not_there_is_none(stored):
    header, _, code = stored.read_bytes()[32:].partition(b"\n")
    content = json.dumps({**json.loads(header), "uses": ["no_such_function"]}).encode() + b"\n" + code
    stored.write_bytes(hashlib.sha256(content).digest() + content)
    assert read_object(stored) is None


def test_code_with_addresses_of_this_process_is_not_stored(tmp_path):
    file = object_file(tmp_path, _sum_large)
    write_object(file, _compiled(_sum_large))
    assert not file.exists()


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A cache of its own, in which this process has not looked yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    kernel_compiler._compiled_kernel.cache_clear()
    yield
    kernel_compiler._compiled_kernel.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_what_was_compiled_once_is_loaded_afterwards(monkeypatch):
    assert _root_of_49(compiled_kernel(_store_root)) == 7
    kernel_compiler._compiled_kernel.cache_clear()
    monkeypatch.setattr(numba, "cfunc", None)
    assert _root_of_49(compiled_kernel(_store_root)) == 7


@pytest.mark.usefixtures("fresh")
def test_a_damaged_kernel_is_compiled_and_stored_again():
    compiled_kernel(_store_root)
    file = object_file(cache_folder(), _store_root)
    file.write_bytes(b"")
    kernel_compiler._compiled_kernel.cache_clear()
    assert _root_of_49(compiled_kernel(_store_root)) == 7
    assert read_object(file) is not None


@pytest.mark.usefixtures("fresh")
def test_a_kernel_that_cannot_be_stored_runs_all_the_same(monkeypatch):
    def refuse(file, compiled):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kernel_compiler, "write_object", refuse)
    assert _root_of_49(compiled_kernel(_store_root)) == 7
