import pytest
import torch

from nnunet_mamba.ops.directions import composed, numba_cpu
from nnunet_mamba.ops.directions.operands import TENSOR_NAMES


@pytest.fixture
def assert_right(assert_fused_right):
    return lambda x: assert_fused_right(numba_cpu, composed.forward, x)


@pytest.mark.parametrize("spatial", [(1, 1), (1, 70), (70, 1), (8, 8), (13, 11), (32, 33), (5, 3, 7), (130,)], ids=str)
def test_right_for_maps_of_one_two_and_three_axes(assert_right, make_map, spatial):
    assert_right(make_map(spatial))


@pytest.mark.parametrize("d", [1, 16, 17, 100])
def test_right_at_every_width(assert_right, make_map, d):
    assert_right(make_map(d=d))


@pytest.mark.parametrize("n", [1, 5, 17, 64])
@pytest.mark.parametrize("rank", [1, 6, 20])
def test_right_for_every_state_size_and_rank(assert_right, make_map, n, rank):
    assert_right(make_map(n=n, rank=rank, spatial=(9, 8)))


@pytest.mark.parametrize("dt_bias", [-15.0, 3.0, 60.0])
def test_right_for_tiny_and_huge_steps(assert_right, make_map, dt_bias):
    assert_right(make_map(dt_bias=dt_bias))


def test_right_where_the_channels_are_one_share(assert_right, make_map, monkeypatch):
    monkeypatch.setattr(numba_cpu, "_JOBS", 1)
    assert_right(make_map(d=70))


def test_takes_operands_of_any_strides(make_map):
    x = make_map()
    strided = x._replace(
        u=x.u.mT.contiguous().mT, projected=x.projected.flip(3).flip(3), A_logs=x.A_logs.t().contiguous().t()
    )
    assert torch.equal(numba_cpu.forward(strided), numba_cpu.forward(x))


@pytest.mark.parametrize("shape", [{"b": 0}, {"spatial": (0, 4)}], ids=str)
def test_empty_maps_give_empty_results(make_map, shape):
    x = make_map(**shape)
    y, states = numba_cpu.forward_saving(x)
    gradients = numba_cpu.backward(y, x, states)
    assert y.shape == x.u.shape
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    assert not any(gradient.any() for gradient in gradients)


def test_nan_reaches_the_whole_map_of_its_channel_and_case(make_map):
    x = make_map(b=2, spatial=(4, 5))
    x.u[1, 7, 2] = float("nan")
    wrong = numba_cpu.forward(x).isnan()
    assert wrong[1, :, 2].all()
    assert wrong.sum() == 20


@pytest.mark.parametrize("operand", TENSOR_NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_definition_has_them(make_map, operand, value):
    x = make_map()
    getattr(x, operand).view(-1)[7] = value
    assert torch.equal(numba_cpu.forward(x).isfinite(), composed.forward(x).isfinite())


def test_results_repeat_bit_by_bit_on_any_number_of_threads(make_map):
    x = make_map((12, 13), b=1, d=70)
    before, results = torch.get_num_threads(), []
    for n_threads in (2, 2, 1):
        torch.set_num_threads(n_threads)
        y, states = numba_cpu.forward_saving(x)
        results.append((y, *numba_cpu.backward(x.u, x, states)))
    torch.set_num_threads(before)
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))
