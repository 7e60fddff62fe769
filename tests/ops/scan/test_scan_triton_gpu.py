"""The Triton kernels in Triton's interpreter on the CPU."""

import importlib
import math
import re
import subprocess
from collections import defaultdict
from dataclasses import replace

import pytest
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, choose_backend
from nnunet_mamba.ops.scan.operands import ScanOperands

pytest.importorskip("triton", reason="triton is not installed")

# NumPy, which the interpreter computes with, warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
_BACKEND = "nnunet_mamba.ops.scan.triton_gpu"


@pytest.fixture
def interpreted(triton_interpreted):
    """The backend in Triton's interpreter."""
    return triton_interpreted(_BACKEND)


def _change_plan(monkeypatch, module, name, *, in_segments=False, **changes):
    """Have the backend take another plan than the cheapest: with segments of 64 tokens, or other numbers in it."""
    plans = importlib.import_module(f"{module.__package__}.triton_plan")
    right = getattr(plans, name)

    def plan(sizes, n_multiprocessors, segment_length=None):
        with monkeypatch.context() as patch:
            if in_segments:
                patch.setattr(plans, "_segment_lengths", lambda length: [64])
            chosen = right.__wrapped__(sizes, n_multiprocessors, *([segment_length] if segment_length else []))
        return replace(chosen, **changes)

    monkeypatch.setattr(module, name, plan)


@pytest.fixture
def many_segments(monkeypatch, interpreted):
    """Divide even a short scan into segments of 64 tokens."""
    for name in ("forward_plan", "backward_plan"):
        _change_plan(monkeypatch, interpreted, name, in_segments=True)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 130])
def test_right_at_every_length(interpreted, make_operands, assert_right, length):
    assert_right(interpreted, make_operands(b=1, length=length))


@pytest.mark.parametrize(
    "length", [pytest.param(1000, marks=pytest.mark.slow), pytest.param(4097, marks=pytest.mark.long)]
)
def test_right_for_many_tokens(interpreted, make_operands, assert_right, length):
    assert_right(interpreted, make_operands(b=1, d=2, n=2, length=length))


@pytest.mark.parametrize(("d", "groups"), [(1, 1), (7, 1), (19, 1), (34, 2), (6, 6)])
def test_right_for_odd_channels_and_groups(interpreted, make_operands, assert_right, d, groups):
    assert_right(interpreted, make_operands(b=1, d=d, groups=groups, length=5))


@pytest.mark.parametrize("n", [1, 3, 16, 17, 64, 300])
def test_right_for_every_state_size(interpreted, make_operands, assert_right, n):
    assert_right(interpreted, make_operands(b=1, n=n, d=9, length=5))


@pytest.mark.parametrize("step", [1e-6, 1e-2, 10.0, 100.0])
@pytest.mark.parametrize("softplus", [True, False])
def test_right_for_tiny_and_large_steps(interpreted, make_operands, assert_right, step, softplus):
    assert_right(interpreted, make_operands(b=1, step=step, softplus=softplus, length=20))


@pytest.mark.parametrize("without", [("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")], ids="-".join)
def test_right_without_optional_operands(interpreted, make_operands, assert_right, without):
    assert_right(interpreted, make_operands(without=without, length=5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_right_in_half_precision(interpreted, make_operands, assert_right, dtype):
    assert_right(interpreted, make_operands(dtype=dtype, length=20))


def test_gradients_have_the_dtypes_of_their_operands(interpreted, make_operands):
    x = make_operands(length=5)
    dtypes = (torch.float16, torch.float32, torch.float32, torch.bfloat16, torch.float16, *3 * [torch.float32])
    x = ScanOperands(*(tensor.to(dtype) for tensor, dtype in zip(x.tensors, dtypes, strict=True)), x.delta_softplus)
    assert interpreted.forward(x).dtype == torch.float16
    gradients = interpreted.backward(x.u, x)
    assert tuple(gradient.dtype for gradient in gradients) == dtypes
    for gradient, right in zip(gradients, reference.backward(x.u, x), strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-2, atol=1e-2)


def test_right_in_segments(interpreted, many_segments, make_operands, assert_right):
    assert_right(interpreted, make_operands(b=1, d=3, length=130))
    assert_right(interpreted, make_operands(b=1, d=2, n=3, groups=2, length=66, without=("z",), softplus=False))


@pytest.mark.parametrize(("n_buffers", "n_programs"), [(1, 1), (2, 3)])
def test_right_where_programs_take_many_items_and_add_many_slots(
    interpreted, monkeypatch, make_operands, assert_right, n_buffers, n_programs
):
    # Two segments, and three slots of 16 channels.
    changes = {"n_buffers": n_buffers, "n_items": 2 * n_buffers, "n_programs": n_programs}
    _change_plan(monkeypatch, interpreted, "backward_plan", in_segments=True, **changes)
    assert_right(interpreted, make_operands(b=1, d=33, length=66))


def test_softplus_is_precise_for_the_smallest_steps(interpreted, make_operands):
    delta = torch.tensor([-80.0, -17, -15, -7, -1, 0, 1, 19.9, 20.1, 1e5])
    x = make_operands(b=1, d=1, n=1, length=len(delta), without=("z", "delta_bias"))
    ones = torch.ones_like
    x = x._replace(delta=delta[None, None], u=ones(x.u), A=-1e30 * ones(x.A), B=ones(x.B), C=ones(x.C), D=0 * x.D)
    step = interpreted.forward(x).flatten()
    torch.testing.assert_close(step, torch.nn.functional.softplus(delta.double()).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("length", [1, 64, 65, 130])
def test_saves_the_states_of_the_reference(interpreted, make_operands, length):
    x = make_operands(b=1, d=6, n=3, groups=2, length=length)
    y, states = interpreted.forward_saving(x)
    _, right = reference.forward_saving(x.to(torch.float64))
    assert states.dtype == torch.float32
    torch.testing.assert_close(states.double(), right, rtol=1e-5, atol=1e-5)
    assert torch.equal(y, interpreted.forward(x))


def test_saved_states_do_not_change_the_gradients(interpreted, many_segments, make_operands):
    x = make_operands(b=1, d=3, length=66)
    states = interpreted.forward_saving(x)[1]
    for gradient, other in zip(interpreted.backward(x.u, x, states), interpreted.backward(x.u, x), strict=True):
        assert torch.equal(gradient, other)


def test_takes_operands_of_any_strides(interpreted, make_operands):
    x = make_operands(d=6, length=21)
    strided = x._replace(
        u=x.u.transpose(1, 2).contiguous().transpose(1, 2),
        delta=torch.cat([x.delta, x.delta], 2)[:, :, ::2],
        A=x.A[:, :1].expand(-1, 4),
        B=x.B[:1].expand(2, -1, -1, -1),
        C=torch.cat([x.C, x.C], 2)[:, :, 4:],
        z=torch.cat([x.z, x.z], 1)[:, :6],
    )
    compact = strided._replace(**{name: getattr(strided, name).contiguous() for name in ("u", "delta", *"ABCz")})
    dy = x.u[:1, :1].expand_as(x.u)
    assert torch.equal(interpreted.forward(strided), interpreted.forward(compact))
    for gradient, right in zip(
        interpreted.backward(dy, strided), interpreted.backward(dy.contiguous(), compact), strict=True
    ):
        assert torch.equal(gradient, right)


@pytest.mark.parametrize("shape", [{"b": 0}, {"length": 0}, {"d": 0}, {"n": 0}], ids=str)
def test_empty_scans(interpreted, make_operands, shape):
    x = make_operands(**{"b": 1, "d": 3, **shape})
    y, states = interpreted.forward_saving(x)
    assert y.shape == x.u.shape
    assert states.shape == reference.forward_saving(x)[1].shape
    torch.testing.assert_close(y, reference.forward(x))
    for gradient, right in zip(interpreted.backward(x.u, x), reference.backward(x.u, x), strict=True):
        torch.testing.assert_close(gradient, right)


@pytest.mark.parametrize("operand", ["u", "delta", "B", "C", "z"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_reference_has_them(interpreted, make_operands, operand, value):
    x = make_operands(b=1, d=3, n=3, length=19, softplus=operand != "B")
    getattr(x, operand).flatten(0, -2)[1, 10] = value
    torch.testing.assert_close(interpreted.forward(x), reference.forward(x), rtol=1e-4, atol=1e-4, equal_nan=True)


def test_nan_stays_in_its_channel_and_after_its_token(interpreted, make_operands):
    x = make_operands(d=3, length=19)
    x.u[1, 1, 10] = float("nan")
    wrong = interpreted.forward(x).isnan()
    assert wrong[1, 1, 10:].all()
    assert wrong.sum() == 9


def test_nan_in_the_last_token_leaves_what_the_reference_leaves(interpreted, make_operands):
    x = make_operands(b=1, d=3, n=3, length=19)
    x.u[0, 1, -1] = float("nan")
    dy = torch.ones_like(x.u)
    for gradient, right in zip(interpreted.backward(dy, x), reference.backward(dy, x), strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_nan_in_the_incoming_gradient_comes_out(interpreted, many_segments, make_operands):
    x = make_operands(d=3, length=70)
    dy = torch.ones_like(x.u)
    dy[0, 2, 66] = float("nan")
    for gradient, right in zip(interpreted.backward(dy, x), reference.backward(dy, x), strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_a_growing_state_overflows_to_infinity(interpreted, many_segments, make_operands):
    x = make_operands(b=1, d=2, n=1, length=70, softplus=False, without=("z", "D"))
    x = x._replace(A=torch.full_like(x.A, 2), u=x.u.abs() + 1, B=x.B.abs() + 1, C=x.C.abs() + 1, delta=x.delta + 1)
    assert interpreted.forward(x)[..., -1].isinf().all()


@pytest.mark.parametrize("rate", [-4.0, 4.0])
def test_infinite_and_zero_states_cross_segments_as_they_are(interpreted, many_segments, make_operands, rate):
    # The decay over a whole segment is 0, or infinite.
    x = make_operands(b=1, d=2, n=1, length=129, softplus=False, without=("z", "D", "delta_bias"))
    x = x._replace(A=torch.full_like(x.A, rate), delta=torch.ones_like(x.delta), u=torch.zeros_like(x.u))
    x.u[0, 0, 0] = float("inf") if rate < 0 else 0
    torch.testing.assert_close(interpreted.forward(x), reference.forward(x), equal_nan=True)


def test_results_repeat_bit_by_bit(interpreted, many_segments, make_operands):
    x = make_operands(b=1, d=3, length=66)
    first, again = ((interpreted.forward(x), *interpreted.backward(x.u, x)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_extra_memory_is_less_than_operands_and_gradients(interpreted, monkeypatch, real_shapes, meta_operands):
    monkeypatch.setattr(interpreted, "n_multiprocessors", lambda device: 132)
    for kernel in ("forward_kernel", "backward_kernel", "segment_ends_kernel", "carry_kernel"):
        monkeypatch.setattr(interpreted, kernel, defaultdict(lambda: lambda *_, **__: None))
    allocated = []
    sums = interpreted._sums
    monkeypatch.setattr(
        interpreted, "_sums", lambda x, *shape: allocated.append(4 * math.prod(shape)) or sums(x, *shape)
    )
    for case in real_shapes:
        x = meta_operands(*case)
        allocated.clear()
        _, states = interpreted.forward_saving(x)
        gradients = interpreted.backward(x.u, x, states)
        size = sum(tensor.numel() * tensor.element_size() for tensor in (*x.tensors, x.u, *gradients))
        assert sum(allocated) < max(0.9 * size, 16 * 2**20), case


def test_the_interpreter_must_be_asked_for_and_then_serves_the_operator(
    interpreted, forgetful, monkeypatch, make_operands
):
    x = make_operands(b=1, length=5)
    assert choose_backend(x.u).name == "numba_cpu"
    monkeypatch.setenv(VARIABLE, "triton_gpu")
    leaves = [tensor.clone().requires_grad_() for tensor in x.tensors]
    y = selective_scan(*leaves, x.delta_softplus)
    assert torch.equal(y, interpreted.forward(x))
    gradients = torch.autograd.grad(y, leaves, torch.ones_like(y))
    expected = interpreted.backward(torch.ones_like(y), x)
    assert all(torch.equal(gradient, right) for gradient, right in zip(gradients, expected, strict=True))
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(RuntimeError, match="triton_gpu: runs on cuda, not on cpu"):
        choose_backend(x.u)


@pytest.mark.parametrize("kind", ["compiler", "launcher", "driver"])
def test_a_failing_compiler_is_a_reason_to_refuse(interpreted, forgetful, monkeypatch, kind):
    errors = {
        "compiler": importlib.import_module("triton").errors.TritonError("no such instruction"),
        "launcher": subprocess.CalledProcessError(1, "gcc"),
        "driver": AssertionError("libcuda.so cannot found!"),
    }

    class Kernel:
        def __getitem__(self, grid):
            raise errors[kind]

    monkeypatch.setattr(interpreted, "forward_kernel", Kernel())
    monkeypatch.setenv(VARIABLE, "triton_gpu")
    expected = (
        f"its test run failed: RuntimeError: Triton .* set NNUNET_MAMBA_SCAN=reference: {type(errors[kind]).__name__}"
    )
    assert re.match(expected, BACKENDS["triton_gpu"].refusal(torch.zeros(1, 1, 1)))
