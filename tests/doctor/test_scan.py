import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nnunet_mamba.doctor import scan
from nnunet_mamba.doctor.scan import FirstScan
from nnunet_mamba.ops.cpu_kernels import kernel_cache
from nnunet_mamba.ops.scan import backends
from nnunet_mamba.ops.scan.backends import VARIABLE

QUICK = FirstScan(0.5, 0)


@pytest.fixture
def look(monkeypatch):
    """Findings on a machine whose other processes answer at once; ``answer`` is their FirstScan or their error."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(scan, "devices", lambda: ["cpu"])

    def find(answer=QUICK):
        def run(command, **options):
            if isinstance(answer, FirstScan):
                output = json.dumps({"seconds": answer.seconds, "n_compiled": answer.n_compiled})
                return SimpleNamespace(returncode=0, stdout=f"noise\n{output}\n", stderr="")
            return SimpleNamespace(returncode=1, stdout="", stderr=answer)

        monkeypatch.setattr(scan.subprocess, "run", run)
        return list(scan.scan())

    return find


def test_names_the_backend_the_cache_and_both_waits(look):
    backend, cache, here, there = look()
    assert (backend.name, backend.text) == ("on cpu", "numba_cpu")
    assert cache.text == str(kernel_cache.cache_folder())
    assert here.text.endswith("(this process)")
    assert there.text == "0.5 s, nothing compiled (a new process)"
    assert {finding.level for finding in (backend, cache, here, there)} == {"ok"}


def test_counts_the_kernels_that_were_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(scan, "warm", lambda device: [(tmp_path / f"{i}.kernel").touch() for i in range(3)])
    assert scan.first_scan().text.endswith("s, compiled 3 kernels")
    monkeypatch.setattr(scan, "warm", lambda device: None)
    assert scan.first_scan().text.endswith("s, nothing compiled")


def test_on_a_gpu_the_kernels_are_tritons(look, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))

    def compile_for(device):
        for name in ("A", "B"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "__grp__scan.json").touch()
            (tmp_path / name / "scan.cubin").touch()

    monkeypatch.setattr(scan, "warm", compile_for)
    monkeypatch.setattr(scan, "devices", lambda: ["cuda"])
    monkeypatch.setattr(scan.torch, "zeros", lambda *_, device: SimpleNamespace(device=SimpleNamespace(type=device)))
    monkeypatch.setattr(scan, "choose_backend", lambda tokens: SimpleNamespace(name="triton_gpu"))
    backend, cache, here, there = look(FirstScan(9.0, 1))
    assert (backend.name, backend.text) == ("on cuda", "triton_gpu")
    assert cache.text == f"{tmp_path} (Triton's)"
    assert here.text.endswith("compiled 2 kernels (this process)")
    assert there.text == "9.0 s, compiled 1 kernel in every new process"
    assert there.remedy == "export TRITON_CACHE_DIR=/a/folder/that/lasts"


def test_a_gpu_without_memory_is_a_problem_and_the_rest_is_told(look, monkeypatch):
    zeros = scan.torch.zeros

    def full(*sizes, device):
        if device == "cuda":
            raise scan.torch.OutOfMemoryError("CUDA out of memory")
        return zeros(*sizes, device=device)

    monkeypatch.setattr(scan, "devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(scan.torch, "zeros", full)
    gpu, *others = look()
    assert (gpu.name, gpu.level) == ("on cuda", "problem")
    assert "nvidia-smi" in gpu.remedy
    assert {finding.level for finding in others} == {"ok"}


def test_a_cache_that_no_process_finds_again_is_a_hint(look):
    *_, there = look(FirstScan(14.04, 3))
    assert there.level == "hint"
    assert there.text == "14.0 s, compiled 3 kernels in every new process"
    assert "NUMBA_CACHE_DIR" in there.remedy


def test_a_new_process_that_fails_is_a_problem(look):
    *_, there = look("Traceback\n  File\nOSError: no space left\n")
    assert there.level == "problem"
    assert there.text == "a new process fails: OSError: no space left"


def test_a_cache_elsewhere_than_wanted_is_a_hint(look, monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache, "user_folders", lambda: [Path("/wanted")])
    monkeypatch.setattr(kernel_cache, "cache_folder", lambda: tmp_path / "fallback")
    _, cache, *_ = look()
    assert cache.level == "hint"
    assert cache.text == f"{tmp_path / 'fallback'}, because /wanted is not writable or full"
    monkeypatch.setattr(kernel_cache, "user_folders", list)
    _, cache, *_ = look()
    assert cache.text.endswith("because there is no home folder")


def test_a_cache_folder_with_a_tilde_is_a_hint(look, monkeypatch):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", "~/kernels")
    _, cache, *_ = look()
    assert cache.level == "hint"
    assert "NUMBA_CACHE_DIR is '~/kernels', which is ignored: '~' stands for the home folder" in cache.text


def test_only_the_reference_is_a_hint_with_the_others_reasons(look, monkeypatch):
    def failure(name, device):
        return None if name == "reference" else "its test scan failed\nin many lines"

    monkeypatch.setattr(backends, "_probe_failure", failure)
    (backend,) = look()
    assert backend.level == "hint"
    assert backend.text.startswith("only the reference: right, but many times slower")
    assert "numba_cpu: its test scan failed" in backend.remedy
    assert "many lines" not in backend.remedy


def test_a_forced_reference_is_a_hint(look, monkeypatch):
    monkeypatch.setenv(VARIABLE, "reference")
    (backend,) = look()
    assert (backend.level, backend.remedy) == ("hint", f"unset {VARIABLE}")


def test_a_forced_backend_that_does_not_exist_is_a_problem(look, monkeypatch):
    monkeypatch.setenv(VARIABLE, "fastest")
    (backend,) = look()
    assert backend.level == "problem"
    assert "'fastest' is not a scan backend" in backend.text


def test_without_numba_nothing_is_counted(monkeypatch):
    monkeypatch.setitem(sys.modules, "nnunet_mamba.ops.cpu_kernels.kernel_cache", None)
    assert scan._kernels("cpu") == set()


def test_the_other_process_is_asked_in_its_own_words(capsys, monkeypatch):
    monkeypatch.setattr(scan, "first_scan", lambda device: FirstScan(0.25, 1))
    scan.print_first_scan("cpu")
    assert FirstScan(**json.loads(capsys.readouterr().out)) == FirstScan(0.25, 1)
