import math
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import numba_cpu, reference


@pytest.fixture
def two_threads(monkeypatch):
    """Divide even the smallest work between two threads."""
    monkeypatch.setattr(numba_cpu, "_UPDATES_PER_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 1000, 4097])
def test_right_at_every_length(make_operands, assert_right, length):
    assert_right(numba_cpu, make_operands(length=length, n=16))


@pytest.mark.parametrize(("d", "groups"), [(1, 1), (7, 1), (33, 1), (34, 2), (51, 3), (6, 6)])
def test_right_for_odd_channels_and_groups(make_operands, assert_right, d, groups):
    assert_right(numba_cpu, make_operands(d=d, groups=groups, length=70))


def test_right_where_groups_are_shared_between_jobs(make_operands, assert_right, two_threads):
    assert_right(numba_cpu, make_operands(b=1, d=150, groups=1, length=70))


@pytest.mark.parametrize("n", [1, 4, 16, 17, 64])
def test_right_for_every_state_size(make_operands, assert_right, n):
    assert_right(numba_cpu, make_operands(n=n, d=18, length=65))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Here the gradient of A is a sum whose terms cancel.
@example(b=1, groups=1, per_group=1, length=105, n=1, softplus=False, without=set())
@given(
    b=st.integers(0, 3),
    groups=st.integers(1, 4),
    per_group=st.integers(1, 20),
    length=st.integers(0, 140),
    n=st.integers(1, 64),
    softplus=st.booleans(),
    without=st.sets(st.sampled_from(["D", "z", "delta_bias"])),
)
def test_right_for_any_shape(make_operands, assert_right, b, groups, per_group, length, n, softplus, without):
    x = make_operands(b, groups * per_group, length, n, groups, softplus=softplus, without=sorted(without))
    if b and length:
        assert_right(numba_cpu, x)
    else:
        assert numba_cpu.forward(x).shape == x.u.shape
        assert not any(gradient.any() for gradient in numba_cpu.backward(x.u, x) if gradient is not None)


@pytest.mark.parametrize("step", [1e-6, 1e-2, 10.0, 100.0])
@pytest.mark.parametrize("softplus", [True, False])
def test_right_for_tiny_and_large_steps(make_operands, assert_right, step, softplus):
    assert_right(numba_cpu, make_operands(step=step, softplus=softplus, length=130))


@pytest.mark.parametrize("without", [("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")], ids="-".join)
def test_right_without_optional_operands(make_operands, assert_right, without):
    assert_right(numba_cpu, make_operands(without=without, length=70))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_right_in_half_precision(make_operands, assert_right, dtype):
    assert_right(numba_cpu, make_operands(dtype=dtype, length=100))


def test_small_steps_keep_their_decay(make_operands):
    # The state decays by exp(-1) over all tokens. A float32 decay next to 1 is off by 2 ** -25 at most from rounding;
    # an exp that is off by its usual 2e-7 there would lose seven times as much.
    length = 4096
    x = make_operands(b=1, d=1, n=1, length=length, softplus=False, without=("D", "z", "delta_bias"))
    impulse = torch.zeros_like(x.u)
    impulse[0, 0, 0] = length
    ones = torch.ones_like(x.B)
    x = x._replace(u=impulse, delta=torch.full_like(x.u, 1 / length), A=torch.tensor([[-1.0]]), B=ones, C=ones)
    last = numba_cpu.forward(x)[0, 0, -1].item()
    assert last == pytest.approx(math.exp(-(length - 1) / length), rel=length * 2**-24)


def test_takes_operands_of_any_strides(make_operands):
    x = make_operands(d=6, length=33)
    strided = x._replace(
        u=x.u.transpose(1, 2).contiguous().transpose(1, 2),
        delta=torch.cat([x.delta, x.delta], 2)[:, :, ::2],
        A=x.A[:, :1].expand(-1, 4),
        B=x.B[:1].expand(2, -1, -1, -1),
        z=x.z.flip(2)[:, ::1],
    )
    compact = strided._replace(**{name: getattr(strided, name).contiguous() for name in ("u", "delta", "A", "B", "z")})
    dy = x.u[:1, :1].expand_as(x.u)
    assert torch.equal(numba_cpu.forward(strided), numba_cpu.forward(compact))
    for gradient, right in zip(
        numba_cpu.backward(dy, strided), numba_cpu.backward(dy.contiguous(), compact), strict=True
    ):
        assert torch.equal(gradient, right)


@pytest.mark.parametrize("operand", ["u", "delta", "B", "C", "z"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_reference_has_them(make_operands, operand, value):
    x = make_operands(d=3, length=70, softplus=operand != "B")
    getattr(x, operand).flatten(0, -2)[1, 40] = value
    torch.testing.assert_close(numba_cpu.forward(x), reference.forward(x), rtol=1e-4, atol=1e-4, equal_nan=True)


def test_nan_stays_in_its_channel_and_after_its_token(make_operands):
    x = make_operands(d=3, length=70)
    x.u[1, 1, 40] = float("nan")
    wrong = numba_cpu.forward(x).isnan()
    assert wrong[1, 1, 40:].all()
    assert wrong.sum() == 30


def test_nan_in_the_incoming_gradient_comes_out(make_operands):
    x = make_operands(d=3, length=70)
    dy = torch.ones_like(x.u)
    dy[0, 2, 10] = float("nan")
    du, _, dA, dB, dC, dD, *_ = numba_cpu.backward(dy, x)
    assert du[0, 2, :11].isnan().all()
    assert not du[0, 2, 11:].isnan().any()
    assert not du[1].isnan().any()
    assert dA[2].isnan().all()
    assert dD[2].isnan()
    assert dB[0, :, :, :11].isnan().all()
    assert dC[0, :, :, 10].isnan().all()


def test_a_growing_state_overflows_to_infinity(make_operands):
    x = make_operands(d=2, n=1, length=70, softplus=False, without=("z", "D"))
    x = x._replace(A=torch.full_like(x.A, 2), u=x.u.abs() + 1, B=x.B.abs() + 1, C=x.C.abs() + 1, delta=x.delta + 1)
    assert numba_cpu.forward(x)[..., -1].isinf().all()


def test_results_repeat_bit_by_bit_on_any_number_of_threads(make_operands, two_threads):
    x = make_operands(b=3, d=40, length=130)
    first = (numba_cpu.forward(x), *numba_cpu.backward(x.u, x))
    for n_threads in (2, 2, 1):
        torch.set_num_threads(n_threads)
        again = (numba_cpu.forward(x), *numba_cpu.backward(x.u, x))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_two_python_threads_at_once(make_operands, two_threads):
    cases = [make_operands(b=3, d=20, length=300, seed=seed) for seed in range(8)]
    alone = [numba_cpu.forward(x) for x in cases]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(numba_cpu.forward, cases))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    "shape", [{"length": 130}, {"b": 1, "d": 150, "length": 200}, {"d": 34, "groups": 2, "length": 64}]
)
def test_saves_the_states_that_the_reference_saves(make_operands, shape):
    x = make_operands(**shape)
    y, states = numba_cpu.forward_saving(x)
    _, expected = reference.forward_saving(x.to(torch.float64))
    assert torch.equal(y, numba_cpu.forward(x))
    torch.testing.assert_close(states.double(), expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_the_same_with_and_without_saved_states(make_operands):
    x = make_operands(length=200)
    _, states = numba_cpu.forward_saving(x)
    pairs = zip(numba_cpu.backward(x.u, x, states), numba_cpu.backward(x.u, x), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_gradients_start_from_the_saved_states(make_operands):
    x = make_operands(length=65)
    _, states = numba_cpu.forward_saving(x)
    dC = numba_cpu.backward(x.u, x, torch.zeros_like(states))[4]
    torch.testing.assert_close(dC[..., :64], numba_cpu.backward(x.u, x, states)[4][..., :64])
    assert not torch.allclose(dC[..., 64:], numba_cpu.backward(x.u, x, states)[4][..., 64:])


def _scan_and_gradients(x):
    return [tensor.tolist() for tensor in (numba_cpu.forward(x), *numba_cpu.backward(x.u, x))]


def _send_scan(connection, x):
    connection.send(_scan_and_gradients(x))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_works_in_a_child_forked_after_use(make_operands, two_threads):
    x = make_operands(b=3, d=20, length=70)
    expected = _scan_and_gradients(x)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_send_scan, args=(sender, x))
    child.start()
    sender.close()
    result = receiver.recv()  # raises EOFError if the child dies
    child.join()
    assert child.exitcode == 0
    assert result == expected


def test_does_not_depend_on_torchs_default_dtype(make_operands):
    x = make_operands(length=70)
    expected = numba_cpu.backward(x.u, x)
    torch.set_default_dtype(torch.float64)
    try:
        gradients = numba_cpu.backward(x.u, x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


def test_public_function_uses_it(make_operands):
    x = make_operands(length=70)
    assert torch.equal(selective_scan(*x), numba_cpu.forward(x))


@pytest.mark.slow
def test_right_without_wide_vectors_and_fused_operations(tmp_path):
    code = (
        "import torch\n"
        "from nnunet_mamba.ops.directions import op as cross\n"
        "from nnunet_mamba.ops.mixer import op as mixer\n"
        "from nnunet_mamba.ops.scan.backends import BACKENDS\n"
        "print(BACKENDS['numba_cpu'].refusal(torch.zeros(1)), mixer._probe_failure(), cross._probe_failure())"
    )
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **generic}, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "None None None"
