"""The cross scan's Triton kernels in Triton's interpreter on the CPU."""

import importlib

import pytest
import torch

from nnunet_mamba.ops.directions import composed
from nnunet_mamba.ops.directions.op import _scan
from nnunet_mamba.ops.directions.operands import refusal

pytest.importorskip("triton", reason="triton is not installed")

# NumPy, which the interpreter computes with, warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


@pytest.fixture
def interpreted(triton_interpreted):
    """The kernels in Triton's interpreter."""
    return triton_interpreted("nnunet_mamba.ops.directions.triton_gpu")


@pytest.fixture
def many_segments(monkeypatch, interpreted):
    """Divide even a short scan into segments of 64 tokens."""
    plans = importlib.import_module("nnunet_mamba.ops.scan.triton_plan")
    monkeypatch.setattr(plans, "_segment_lengths", lambda length: [64])
    for function in (plans.forward_plan, plans.backward_plan):
        function.cache_clear()
    yield
    for function in (plans.forward_plan, plans.backward_plan):
        function.cache_clear()


@pytest.fixture
def assert_right(interpreted, assert_fused_right):
    return lambda x: assert_fused_right(interpreted, composed.forward, x)


@pytest.mark.parametrize(
    "spatial", [(1, 1), (1, 5), (5, 1), (2, 3), pytest.param((5, 7), marks=pytest.mark.slow)], ids=str
)
def test_right_for_maps_of_every_shape(assert_right, make_map, spatial):
    assert_right(make_map(spatial, b=1, d=3, n=2))


def test_right_for_more_than_one_chunk_of_tokens(assert_right, make_map):
    assert_right(make_map((8, 9), b=1, d=1, n=1, rank=1))


@pytest.mark.parametrize("d", [1, 7, pytest.param(34, marks=pytest.mark.slow)])
def test_right_at_every_width(assert_right, make_map, d):
    assert_right(make_map((2, 2), b=2, d=d, n=4))


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (5, 3), (16, 6), pytest.param(64, 20, marks=pytest.mark.slow)])
def test_right_for_every_state_size_and_rank(assert_right, make_map, n, rank):
    assert_right(make_map((2, 3), b=1, d=9, n=n, rank=rank))


@pytest.mark.parametrize("dt_bias", [-15.0, 3.0, 60.0])
def test_right_for_tiny_and_huge_steps(assert_right, make_map, dt_bias):
    assert_right(make_map((3, 3), b=1, d=2, n=2, dt_bias=dt_bias))


@pytest.mark.slow
@pytest.mark.parametrize("spatial", [(8, 9), (3, 22)], ids=str)
@pytest.mark.usefixtures("many_segments")
def test_right_in_segments(assert_right, make_map, spatial):
    assert_right(make_map(spatial, b=1, d=3, n=2))


@pytest.mark.parametrize("n_shares", [1, 2, 4])
def test_directions_are_summed_in_memory_and_afterwards(monkeypatch, interpreted, make_map, n_shares):
    right = interpreted.cross_forward_plan

    def plan(sizes, n_multiprocessors, n_directions):
        one, usual = right(sizes, n_multiprocessors, n_directions)
        n_items = one.n_items // usual * n_shares
        return one.__class__(**{**vars(one), "n_items": n_items, "n_programs": n_items}), n_shares

    monkeypatch.setattr(interpreted, "cross_forward_plan", plan)
    x = make_map((2, 3), b=2, d=3, n=2)
    torch.testing.assert_close(interpreted.forward(x), composed.forward(x), rtol=1e-5, atol=1e-5)


def test_directions_share_programs_only_where_enough_are_left(interpreted):
    gpu, plans = (importlib.import_module(interpreted.__package__ + name) for name in (".triton_gpu", ".triton_plan"))
    for b, length, d, expected in ((32, 4096, 192, 4), (32, 1024, 384, 1), (32, 256, 768, 1), (1, 4096, 192, 4)):
        plan, n_shares = plans.cross_forward_plan(gpu.Sizes(4 * b, d, length, 16, 1, 4), 132, 4)
        assert n_shares == expected
        assert plan.n_items == plan.n_programs
        assert plan.n_segments == 1 or n_shares == 4


def test_takes_operands_of_any_strides(interpreted, make_map):
    x = make_map((2, 3), b=2, d=3, n=2)
    strided = x._replace(
        u=x.u.mT.contiguous().mT, projected=x.projected.flip(3).flip(3), A_logs=x.A_logs.t().contiguous().t()
    )
    y, states = interpreted.forward_saving(strided)
    assert torch.equal(y, interpreted.forward(x))
    dy = x.u[:1, :, :1].expand_as(x.u)
    for gradient, right in zip(
        interpreted.backward(dy, strided, states), interpreted.backward(dy.contiguous(), x, states), strict=True
    ):
        assert torch.equal(gradient, right)


@pytest.mark.parametrize("shape", [{"b": 0}, {"spatial": (0, 4)}], ids=str)
def test_empty_maps_give_empty_results(interpreted, make_map, shape):
    x = make_map(**shape)
    y, states = interpreted.forward_saving(x)
    gradients = interpreted.backward(y, x, states)
    assert y.shape == x.u.shape
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    assert not any(gradient.any() for gradient in gradients)


def test_nan_reaches_the_whole_map_of_its_channel_and_case(interpreted, make_map):
    x = make_map((3, 3), b=2, d=3, n=2)
    x.u[1, 4, 2] = float("nan")
    wrong = interpreted.forward(x).isnan()
    assert wrong[1, :, 2].all()
    assert wrong.sum() == 9


def test_results_repeat_bit_by_bit(interpreted, make_map):
    x = make_map((3, 4), b=1, d=3, n=2)
    y, states = interpreted.forward_saving(x)
    first, again = (interpreted.backward(y, x, states) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("spatial", "rank", "reason"), [((5, 3, 7), 2, "a map of 3 axes"), ((4, 4), 65, "dt_rank = 65"), ((4, 4), 48, None)]
)
def test_what_the_kernels_of_a_gpu_do_not_take_is_told(monkeypatch, make_map, spatial, rank, reason):
    x = make_map(spatial, b=1, d=2, rank=rank)
    x = x._replace(u=torch.empty_like(x.u, device="meta"))
    monkeypatch.setattr(torch.Tensor, "device", torch.device("cuda"), raising=False)
    told = refusal(x)
    assert told is None if reason is None else told.startswith(reason)


@pytest.fixture
def on_gpu():
    """The kernels on the CUDA device."""
    return importlib.import_module("nnunet_mamba.ops.directions.triton_gpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    ("spatial", "b", "d", "rank"), [((64, 64), 1, 192, 6), ((8, 8), 8, 1536, 48), ((13, 50), 2, 33, 3)], ids=str
)
def test_right_on_a_gpu_and_used_there(on_gpu, monkeypatch, make_map, assert_fused_right, spatial, b, d, rank):
    x = make_map(spatial, b=b, d=d, rank=rank)
    x = x._make(one.cuda() if isinstance(one, torch.Tensor) else one for one in x)
    assert_fused_right(on_gpu, composed.forward, x)
    expected = on_gpu.forward(x)
    monkeypatch.setattr(composed, "forward", None)
    assert torch.equal(_scan(x), expected)
