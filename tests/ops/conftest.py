"""Operands for the scan's tests, and the error each dtype may make."""

import pytest
import torch

from nnunet_mamba.ops.scan import backends, reference
from nnunet_mamba.ops.scan.backends import VARIABLE
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands

# Largest error allowed, relative to the largest number of the exact result.
TOLERANCE = {
    torch.float64: 1e-12,  # rounding of a thousand steps
    torch.float32: 1e-5,  # the same; most of it is the rounding of the exponent delta * A * log2(e)
    torch.float16: 6e-4,  # half a unit in the last of 11 bits of the result; state and sums are float32
    torch.bfloat16: 4.5e-3,  # half a unit in the last of 8 bits
}


@pytest.fixture(autouse=True)
def _no_forced_backend(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep torch from waiting for threads on busy cores; tests of threads ask for theirs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_operands():
    def make(b=2, d=5, length=9, n=4, groups=1, dtype=torch.float32, step=1.0, without=(), softplus=True, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        operands = ScanOperands(
            u=normal(b, d, length),
            delta=normal(b, d, length) * step if softplus else normal(b, d, length).abs() * step,
            A=-(0.1 + 4 * torch.rand(d, n, generator=generator, dtype=torch.float64)).to(dtype),
            B=normal(b, groups, n, length),
            C=normal(b, groups, n, length),
            D=normal(d),
            z=normal(b, d, length),
            delta_bias=normal(d) if softplus else normal(d).abs() * step,
            delta_softplus=softplus,
        )
        return operands._replace(**dict.fromkeys(without))

    return make


@pytest.fixture
def assert_right():
    """Compare an implementation's output and gradients with the reference in float64, quantity by quantity."""

    def check(implementation, operands):
        dtype = operands.u.dtype
        dy = operands.u.flip(2).contiguous()
        exact = operands.to(torch.float64)
        results = (implementation.forward(operands), *implementation.backward(dy, operands))
        expected = (reference.forward(exact), *reference.backward(dy.double(), exact))
        for name, result, right, operand in zip(
            ("y", *ScanOperands._fields), results, expected, (operands.u, *operands.tensors), strict=False
        ):
            assert (result is None) == (operand is None), name
            if operand is not None:
                assert result.dtype == dtype, name
                assert result.shape == operand.shape, name
                error = (result.double() - right).abs().max().item()
                scale = right.abs().max().item()
                assert error <= TOLERANCE[dtype] * scale, f"{name}: error {error:.2e} of {scale:.2e}"

    return check


@pytest.fixture
def forgetful():
    """Let the test load, probe and choose for the first time, and forget what it chose."""
    remembered = (backends._installed, backends._load, backends._probe_failure, backends._log_choice)
    for function in remembered:
        function.cache_clear()
    yield
    for function in remembered:
        function.cache_clear()


@pytest.fixture
def real_shapes():
    """(b, d, l, n, groups, dtype) of UltraLight at 256², VM-UNet, U-Mamba 3D, and of more states."""
    shapes = ((256, 12, 1024, 16, 1), (32, 768, 4096, 16, 4), (2, 640, 210, 16, 1), (2, 64, 50_000, 16, 1))
    narrow = [(*shape, dtype) for shape in shapes for dtype in (torch.float32, torch.float16)]
    return [*narrow, (8, 256, 1024, 64, 1, torch.float32)]


@pytest.fixture
def meta_operands():
    """A function that returns operands without numbers, for what looks at sizes alone."""

    def make(b, d, length, n, groups, dtype):
        shapes = {"u": (b, d, length), "A": (d, n), "B": (b, groups, n, length), "D": (d,)}
        shapes |= {"delta": shapes["u"], "z": shapes["u"], "C": shapes["B"], "delta_bias": shapes["D"]}
        tensors = (torch.empty(shapes[name], dtype=dtype, device="meta") for name in TENSOR_NAMES)
        return ScanOperands(*tensors, True)

    return make
