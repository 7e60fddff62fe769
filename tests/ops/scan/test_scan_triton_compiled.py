"""The Triton kernels compiled without a GPU, and on one where there is one."""

import importlib

import pytest
import torch

from nnunet_mamba.ops.scan.backends import BACKENDS, choose_backend
from nnunet_mamba.ops.scan.operands import ScanOperands

pytest.importorskip("triton", reason="triton is not installed")

_BACKEND = "nnunet_mamba.ops.scan.triton_gpu"


@pytest.fixture
def compiled_kernels(triton_compiling, monkeypatch):
    """Return a function that compiles what a scan and its gradients launch on a GPU with 132 multiprocessors."""
    module = importlib.import_module(_BACKEND)
    monkeypatch.setattr(module, "n_multiprocessors", lambda device: 132)

    def compile_for(capability, x):
        with triton_compiling(capability, module) as kernels:
            y, states = module.forward_saving(x)
            module.backward(y, x, states)
        return kernels

    return compile_for


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_without_a_gpu_and_keep_to_their_registers(
    compiled_kernels, registers_and_spills, real_shapes, meta_operands, capability
):
    for case in real_shapes:
        kernels = compiled_kernels(capability, meta_operands(*case))
        assert kernels
        for kernel in kernels:
            registers, spilled = registers_and_spills(kernel, capability)
            # With more, fewer than three warps share a scheduler, and plans count wrongly.
            assert registers <= 168, f"{kernel.name} at {case}"
            # Pointers, mostly; Triton 3.2 spills most, and the backward kernel of 64 states.
            assert spilled <= 640, f"{kernel.name} at {case}"


@pytest.mark.parametrize("without", [(), ("D", "z", "delta_bias")], ids=["all", "none"])
def test_kernels_compile_without_a_gpu(compiled_kernels, meta_operands, without):
    x = meta_operands(1, 1, 1, 1, 1, torch.float32)  # integers that are 1 become constants
    assert all(kernel.asm["cubin"] for kernel in compiled_kernels(90, x._replace(**dict.fromkeys(without))))


@pytest.mark.parametrize(
    ("case", "dtype", "capability"),
    [
        ((1, 1, 2000, 1, 1), torch.bfloat16, 90),  # several segments of one channel
        ((1, 2, 2000, 300, 1), torch.float16, 100),  # more states than one launch takes
        ((2, 6, 70, 16, 2), torch.bfloat16, 75),  # has no instructions for it
        ((2, 6, 70, 16, 2), torch.float16, 120),
    ],
)
def test_kernels_compile_for_other_shapes_and_devices(compiled_kernels, meta_operands, case, dtype, capability):
    kernels = compiled_kernels(capability, meta_operands(*case, dtype))
    assert kernels
    assert all(kernel.asm["cubin"] for kernel in kernels)


_needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def on_gpu():
    """The backend on the CUDA device."""
    return importlib.import_module(_BACKEND)


def _random_operands(b, d, length, n, groups, dtype):
    """Return fresh random operands on the CUDA device, spread like those of a Mamba block."""

    def normal(*shape):
        return torch.randn(shape, device="cuda").to(dtype)

    A = -torch.arange(1.0, n + 1, device="cuda").repeat(d, 1).to(dtype)
    tokens, matrix = (b, d, length), (b, groups, n, length)
    return ScanOperands(
        normal(*tokens),
        normal(*tokens),
        A,
        normal(*matrix),
        normal(*matrix),
        normal(d),
        normal(*tokens),
        normal(d) - 4,
        True,
    )


@pytest.mark.gpu
@_needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("b", "d", "length", "n", "groups"),
    [(8, 12, 1024, 16, 1), (1, 768, 4097, 16, 4), (2, 640, 210, 16, 1), (1, 8, 20_000, 16, 1), (2, 33, 70, 64, 1)],
)
def test_right_on_a_gpu_at_real_shapes(on_gpu, assert_right, b, d, length, n, groups, dtype):
    assert_right(on_gpu, _random_operands(b, d, length, n, groups, dtype))


@pytest.mark.gpu
@_needs_gpu
def test_repeats_bit_by_bit_on_a_gpu(on_gpu):
    x = _random_operands(4, 192, 4096, 16, 1, torch.float32)
    first, again = ((on_gpu.forward(x), *on_gpu.backward(x.u, x)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.gpu
@_needs_gpu
def test_a_gpu_takes_it_or_mamba_ssm(forgetful):
    assert choose_backend(torch.zeros(1, 1, 1, device="cuda")).name in ("triton_gpu", "mamba_ssm_cuda")
    assert BACKENDS["triton_gpu"].refusal(torch.zeros(1, 1, 1, device="cuda")) is None
