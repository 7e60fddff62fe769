"""Scans in other processes and threads: what they find compiled, and where they may not write."""

import copy
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

import nnunet_mamba
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.cpu_kernels import kernel_cache
from nnunet_mamba.ops.cpu_kernels.kernel_cache import kernel_files
from nnunet_mamba.ops.cpu_kernels.kernel_objects import read_object
from nnunet_mamba.ops.scan.backends import BACKENDS
from nnunet_mamba.ops.scan.survey import random_operands

PACKAGE = Path(nnunet_mamba.__file__).parent
# Scans, and tests both kernels before; counts what numba compiles, whether for dispatchers or for C functions.
SCAN = """
import json, torch
from numba.core import event
from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan.backends import choose_backend
from nnunet_mamba.ops.scan.survey import random_operands

class Listener(event.Listener):
    n_started = 0

    def on_start(self, happened):
        self.n_started += 1

    def on_end(self, happened):
        pass

listener = Listener()
for kind in ("numba:compile", "numba:run_pass"):
    event.register(kind, listener)
y = selective_scan(*random_operands((1, 3, 70, 4), groups=1, seed=0))
print(json.dumps({"compiled": listener.n_started, "backend": choose_backend(y).name, "y": y.tolist()}))
"""


def environment(**variables):
    """The caller's environment, but for whatever decides where caches are; None removes a variable."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "NNUNET_MAMBA", "XDG"))}
    changed = {**kept, "NNUNET_MAMBA_NO_STARTUP": "1", **variables}
    return {name: str(value) for name, value in changed.items() if value is not None}


def start(code, *, prefix=(), **variables):
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process):
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def run(code=SCAN, **options):
    return result_of(start(code, **options))


def assert_right(result):
    assert result["backend"] == "numba_cpu"
    expected = selective_scan(*random_operands((1, 3, 70, 4), groups=1, seed=0))
    assert torch.equal(torch.tensor(result["y"]), expected)


def contents(folder):
    return {file: file.stat().st_mtime_ns for file in kernel_files(folder)}


@pytest.fixture
def filled(tmp_path):
    """A private cache folder with the scan's kernels, where XDG_CACHE_HOME is its parent."""
    assert BACKENDS["numba_cpu"].refusal(torch.zeros(1)) is None
    compiled = kernel_cache.cache_folder()
    # Another process may be adding kernels of its own.
    unfinished = shutil.ignore_patterns(".partial-*")
    return Path(shutil.copytree(compiled, tmp_path / "cache" / compiled.name, ignore=unfinished))


@pytest.fixture(scope="module")
def as_ordinary_user():
    """What to put before a command so that permissions count: root ignores them unless it gives up the right to."""
    if not hasattr(os, "geteuid"):
        pytest.skip("needs POSIX permissions")
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("runs as root, which ignores permissions, and setpriv cannot take that right away")
    return prefix


@pytest.fixture
def read_only():
    """Take the right to write in folders, until the test is over."""
    changed = []

    def protect(folder):
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
            changed.append(path)
        return folder

    yield protect
    for path in changed:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_the_last_resort_goes_with_its_process_and_not_with_a_forked_child(tmp_path):
    code = f"""
import json, os, runpy
folder = runpy.run_path({kernel_cache.__file__!r})["_fresh_folder"]("resort", os.getpid())
if os.fork() == 0:
    raise SystemExit  # runs the exit functions
os.wait()
print(json.dumps([str(folder), folder.is_dir()]))
"""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    folder, was_there = run(code, TMPDIR=tmp_path)
    assert Path(folder).parent == tmp_path
    assert was_there
    assert not Path(folder).exists()


def test_a_process_that_finds_the_kernels_compiles_nothing(filled):
    before = contents(filled)
    assert len(before) >= 2
    result = run(XDG_CACHE_HOME=filled.parent)
    assert_right(result)
    assert result["compiled"] == 0
    assert contents(filled) == before


@pytest.mark.slow
def test_the_first_process_compiles_and_the_second_does_not(tmp_path):
    first = run(XDG_CACHE_HOME=tmp_path)
    assert_right(first)
    assert first["compiled"] > 0
    (folder,) = tmp_path.iterdir()
    before = contents(folder)
    second = run(XDG_CACHE_HOME=tmp_path)
    assert second == {**first, "compiled": 0}
    assert contents(folder) == before


@pytest.mark.slow
def test_six_processes_at_once_on_an_empty_cache(tmp_path):
    processes = [start(SCAN, XDG_CACHE_HOME=tmp_path, OMP_NUM_THREADS="1") for _ in range(6)]
    for process in processes:
        assert_right(result_of(process))
    after = run(XDG_CACHE_HOME=tmp_path)
    assert_right(after)
    assert after["compiled"] == 0


@pytest.mark.slow
def test_damaged_files_are_compiled_again(filled):
    for number, file in enumerate(sorted(contents(filled))):  # emptied and cut in half by turns
        file.write_bytes(file.read_bytes()[: number % 2 * file.stat().st_size // 2])
    result = run(XDG_CACHE_HOME=filled.parent)
    assert_right(result)
    assert result["compiled"] > 0
    mended = [file for file in contents(filled) if file.name.startswith("nnunet_mamba.ops.scan.")]
    assert len(mended) == 2
    assert all(read_object(file) for file in mended)
    again = run(XDG_CACHE_HOME=filled.parent)
    assert again == {**result, "compiled": 0}


@pytest.mark.slow
@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_an_installation_that_cannot_be_written_to(as_ordinary_user, read_only, tmp_path, home):
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "nnunet_mamba", ignore=shutil.ignore_patterns("__pycache__"))
    read_only(site)
    places = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp", "PYTHONPATH": site}
    if home == "read-only":
        read_only(tmp_path / "home")
        places["XDG_CACHE_HOME"] = tmp_path / "home" / "cache"
    before = sorted(site.rglob("*"))
    results = [run(prefix=as_ordinary_user, **places) for _ in range(2)]
    for result in results:
        assert_right(result)
    assert results[0]["compiled"] > 0
    assert results[1]["compiled"] == 0
    assert sorted(site.rglob("*")) == before
    cache = tmp_path / "home" / ".cache" if home == "writable" else tmp_path / "tmp"
    assert any(map(kernel_files, cache.iterdir()))


def test_a_home_that_cannot_be_written_to(as_ordinary_user, read_only, tmp_path):
    (tmp_path / "tmp").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    read_only(home)
    # An unset HOME is looked up in the system's list of users; their home is not for tests to write in.
    homes = [{"HOME": str(home)}, {"XDG_CACHE_HOME": str(home / "cache")}, {"HOME": str(home / "missing")}]
    code = f"""
import json, os, runpy
cache_folder, folders = runpy.run_path({kernel_cache.__file__!r})["cache_folder"], []
for home in {homes!r}:
    for name in ("HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(home)
    folders.append(str(cache_folder()))
print(json.dumps(folders))
"""
    folders = run(code, prefix=as_ordinary_user, TMPDIR=tmp_path / "tmp")
    # A folder of the user's, which the next process finds, not one of this process alone.
    name = f"{kernel_cache.FOLDER_PREFIX}{kernel_cache._fingerprint(kernel_cache._OPERATORS)}-{os.getuid()}"
    assert folders == [str(tmp_path / "tmp" / name)] * 3


def _block(seed):
    """A block that is small enough for the fused kernels, one that is not, and tokens for both."""
    torch.manual_seed(seed)
    return nn.Sequential(Mamba(d_model=24), nn.Linear(24, 40), Mamba(d_model=40)), torch.randn(2, 130, 24)


def _train(block, tokens):
    loss = block(tokens).square().sum()
    return [loss.detach(), *(gradient for gradient in torch.autograd.grad(loss, list(block.parameters())))]


def _train_in_a_process(seed):
    torch.set_num_threads(1)
    return [tensor.tolist() for tensor in _train(*_block(seed))]


@pytest.mark.slow
def test_spawned_processes_at_once():
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        together = pool.map(_train_in_a_process, range(3), chunksize=1)
    assert together == [_train_in_a_process(seed) for seed in range(3)]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_replicas_in_python_threads_at_once(n_threads):
    torch.set_num_threads(n_threads)
    block, _ = _block(0)
    replicas = [copy.deepcopy(block) for _ in range(4)]
    parts = [torch.randn(2, 130 + part, 24) for part in range(4)] * 5
    alone = [_train(block, tokens) for tokens in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(_train, replicas * 5, parts))
    for expected, result in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, result, strict=True))
