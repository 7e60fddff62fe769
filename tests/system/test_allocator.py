import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from nnunet_mamba.system import allocator
from nnunet_mamba.system.allocator import give_back_freed_memory, keep_freed_memory

# Takes and frees 40 MiB as a step's activations are, and prints the page faults of the last ten times.
_TAKE_AND_FREE = """
import ctypes, resource, sys
from nnunet_mamba.system.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = library.malloc(ctypes.c_size_t(40 << 20))
    ctypes.memset(block, 1, 40 << 20)
    library.free(ctypes.c_void_p(block))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

needs_glibc = pytest.mark.skipif(allocator._glibc() is None, reason="this C library is not glibc")


# Before the fixture of all tests replaces it; here nothing is set in this process.
_GLIBC = allocator._glibc


@pytest.fixture(autouse=True)
def _as_it_is(monkeypatch):
    monkeypatch.setattr(allocator, "_glibc", _GLIBC)


def page_faults(setting):
    command = [sys.executable, "-c", _TAKE_AND_FREE, setting]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@needs_glibc
def test_freed_memory_is_taken_again_without_page_faults():
    assert page_faults("as it is") > 1000
    assert page_faults("keep") < 100


@needs_glibc
def test_processes_that_are_started_are_left_alone():
    code = "from nnunet_mamba.system.allocator import keep_freed_memory as keep; import subprocess, sys; assert keep();"
    command = (
        f"{code} print(subprocess.check_output([sys.executable, '-c', {_TAKE_AND_FREE!r}, 'as it is'], text=True))"
    )
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 1000


class _Library:
    """A C library with ``mallopt``; refuses thresholds above ``most``."""

    def __init__(self, most):
        self.most, self.taken = most, {}

    def mallopt(self, parameter, value):
        if parameter == -3 and value > self.most:
            return 0
        self.taken[parameter] = value
        return 1

    def malloc_trim(self, padding):
        self.taken["trimmed"] = padding


@pytest.mark.parametrize(("most", "expected"), [(2**31, 2**30), (2**25, 2**25)], ids=["new", "old"])
def test_an_old_glibc_gets_the_largest_threshold_that_it_takes(monkeypatch, most, expected):
    library = _Library(most)
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    assert keep_freed_memory()
    assert library.taken[-3] == expected
    # -1 stands for never.
    assert library.taken == {-3: expected, -1: -1, -2: 64 << 20}


@pytest.mark.parametrize(
    ("variable", "value"),
    [*((name, "1000000") for name in allocator.ALLOCATOR_VARIABLES), ("GLIBC_TUNABLES", "glibc.malloc.top_pad=4096")],
)
def test_the_users_own_settings_stay(monkeypatch, variable, value):
    library = _Library(2**31)
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    monkeypatch.setenv(variable, value)
    assert not keep_freed_memory()
    give_back_freed_memory()
    assert not library.taken


def test_other_tunables_decide_nothing(monkeypatch):
    monkeypatch.setattr(allocator, "_glibc", lambda: _Library(2**31))
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.cpu.x86_ibt=off")
    assert keep_freed_memory()


@needs_glibc
def test_another_allocator_that_was_loaded_before_is_left_alone(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source, library = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text(
        "#include <stddef.h>\n"
        "extern void *__libc_malloc(size_t);\n"
        "void *malloc(size_t size) { return __libc_malloc(size); }\n"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    code = "from nnunet_mamba.system.allocator import keep_freed_memory; print(keep_freed_memory())"
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **preload},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for preload in ({}, {"LD_PRELOAD": str(library)})
    ]
    assert printed == ["True", "False"]


@needs_glibc
def test_what_was_kept_is_given_back():
    code = """
import ctypes
from pathlib import Path
from nnunet_mamba.system.allocator import give_back_freed_memory, keep_freed_memory
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
def take_and_free():
    block = library.malloc(ctypes.c_size_t(200 << 20))
    ctypes.memset(block, 1, 200 << 20)
    library.free(ctypes.c_void_p(block))
assert keep_freed_memory()
before = resident()
take_and_free()
kept = resident()
give_back_freed_memory()
print(kept - before, resident() - before)
take_and_free()
print(resident() - before)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    kept, left, later = (int(number) >> 20 for number in found)
    assert kept >= 190
    assert left < 20
    assert later < 20


def test_nothing_is_set_where_the_library_refuses(monkeypatch):
    library = _Library(0)
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    assert not keep_freed_memory()
    assert not library.taken


class _Compatible:
    """Knows its version, as Alpine's layer for programs of glibc, and no more."""

    gnu_get_libc_version = None


@pytest.mark.parametrize(
    "found",
    [OSError("no such file"), TypeError("no name"), object(), _Compatible()],
    ids=["os", "windows", "musl", "gcompat"],
)
def test_other_c_libraries_are_left_alone(monkeypatch, found):
    def load(name):
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert not keep_freed_memory()
