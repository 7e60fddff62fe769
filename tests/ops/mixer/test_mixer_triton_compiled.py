"""The Triton kernels compiled without a GPU, and on one where there is one."""

import importlib

import pytest
import torch

from nnunet_mamba.ops.mixer import composed

pytest.importorskip("triton", reason="triton is not installed")

# (length, d_model) of UltraLight VM-UNet's blocks at 256², each on four chunks.
_ULTRALIGHT = ((1024, 6), (256, 8), (64, 12), (64, 16))


@pytest.fixture
def kernels():
    """The kernels' module."""
    return importlib.import_module("nnunet_mamba.ops.mixer.triton_gpu")


@pytest.fixture
def compiled_kernels(triton_compiling, kernels):
    """Return a function that compiles what both passes of a block launch around its scan."""
    scan = importlib.import_module("nnunet_mamba.ops.scan.triton_gpu")

    def compile_for(capability, x):
        x = x._make(one.to("meta") if isinstance(one, torch.Tensor) else one for one in x)
        with triton_compiling(capability, kernels, scan) as compiled:
            mixed, states = kernels.forward_saving(x)
            kernels.backward(mixed, x, states)
        return [kernel for kernel in compiled if kernel.name in ("project_kernel", "mix_kernel")]

    return compile_for


def test_kernels_compile_without_a_gpu(compiled_kernels, make_block):
    x = make_block(b=1, length=1, d_model=1, expand=1, n=1, conv_bias=False)  # integers that are 1 become constants
    kernels = compiled_kernels(90, x)
    assert [kernel.name for kernel in kernels] == ["project_kernel", "mix_kernel", "project_kernel"]
    assert all(kernel.asm["cubin"] for kernel in kernels)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("length", "d_model"), _ULTRALIGHT)
def test_kernels_keep_to_their_registers(
    compiled_kernels, registers_and_spills, make_block, capability, length, d_model
):
    for kernel in compiled_kernels(capability, make_block(length=length, d_model=d_model, n_parallel=4)):
        registers, spilled = registers_and_spills(kernel, capability)
        assert registers <= 168, kernel.name
        assert spilled <= 32, kernel.name


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
def test_the_largest_block_spills_little(compiled_kernels, registers_and_spills, make_block, reverse):
    x = make_block(length=70, d_model=64, expand=1, n=64, rank=4, d_conv=8, reverse=reverse)
    for kernel in compiled_kernels(90, x):
        assert registers_and_spills(kernel, 90)[1] <= 128, kernel.name


_needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@_needs_gpu
@pytest.mark.parametrize(("length", "d_model"), [*_ULTRALIGHT, (1000, 32)])
@pytest.mark.parametrize("reverse", [False, True])
def test_right_on_a_gpu_at_real_shapes(kernels, assert_fused_right, make_block, length, d_model, reverse):
    x = make_block(length=length, d_model=d_model, n_parallel=4, reverse=reverse)
    x = x._make(one.cuda() if isinstance(one, torch.Tensor) else one for one in x)
    assert_fused_right(kernels, composed.forward, x)
