from pathlib import Path

import pytest

from nnunet_mamba.doctor.triton_cache import triton_cache_folder, triton_kernel_files


def _add_one(pointer, n):
    pointer += n


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({}, "~/.triton/cache"),
        ({"TRITON_HOME": "/scratch"}, "/scratch/.triton/cache"),
        ({"TRITON_HOME": "/scratch", "TRITON_CACHE_DIR": "/kernels"}, "/kernels"),
    ],
)
def test_the_folder_is_the_one_that_triton_takes(monkeypatch, variables, folder):
    triton = pytest.importorskip("triton", reason="triton is not installed")
    for name in ("TRITON_HOME", "TRITON_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert triton_cache_folder() == Path(folder).expanduser()
    if hasattr(triton, "knobs"):
        assert triton_cache_folder() == Path(triton.knobs.cache.dir)


def test_every_kernel_that_triton_compiles_counts_once(monkeypatch, tmp_path):
    triton = pytest.importorskip("triton", reason="triton is not installed")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    assert triton_kernel_files() == []

    def compile_for(capability):
        source = ASTSource(fn=triton.jit(_add_one), signature={"pointer": "*fp32", "n": "i32"})
        triton.compile(source, target=GPUTarget("cuda", capability, 32))
        return len(triton_kernel_files())

    assert [compile_for(capability) for capability in (80, 80, 90)] == [1, 1, 2]
