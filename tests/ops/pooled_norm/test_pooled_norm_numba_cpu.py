import pytest
import torch

from nnunet_mamba.ops.pooled_norm import composed, numba_cpu
from nnunet_mamba.ops.pooled_norm.operands import TENSOR_NAMES


@pytest.fixture
def assert_right(assert_fused_right):
    def check(x):
        y = composed.forward(x)
        # Like the result, so that the sums in the weights' gradients do not cancel.
        gradient = y + torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        assert_fused_right(numba_cpu, composed.forward, x, gradient)

    return check


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (2, 1), (1, 2)], ids=str)
@pytest.mark.parametrize("spatial", [(2, 2), (2, 4), (6, 10), (34, 36)], ids=str)
@pytest.mark.parametrize("c", [1, 7, 8, 16, 24, 40])
def test_right_for_every_width_and_window_of_pictures(assert_right, make_norm, c, spatial, window):
    assert_right(make_norm(spatial, c=c, groups=1, window=window))


@pytest.mark.parametrize("spatial", [(1, 1), (3, 5), (13, 16), (1, 300), (300, 1)], ids=str)
@pytest.mark.parametrize("c", [3, 8, 20])
def test_right_without_pooling_for_odd_sizes(assert_right, make_norm, c, spatial):
    assert_right(make_norm(spatial, c=c, groups=1, window=(1, 1)))


@pytest.mark.parametrize("window", [(2, 2, 2), (1, 2, 2), (2, 1, 1), (2, 2, 1), (1, 1, 2)], ids=str)
@pytest.mark.parametrize("c", [5, 8, 32])
def test_right_for_volumes(assert_right, make_norm, c, window):
    assert_right(make_norm((4, 6, 8), c=c, groups=1, window=window))


@pytest.mark.parametrize(("spatial", "window"), [((40,), (2,)), ((9,), (1,)), ((12, 15), (3, 5)), ((6, 12), (3, 2))])
def test_right_for_lines_and_for_larger_windows(assert_right, make_norm, spatial, window):
    assert_right(make_norm(spatial, window=window))


@pytest.mark.parametrize("groups", [1, 2, 4, 12])
def test_right_for_every_number_of_groups(assert_right, make_norm, groups):
    assert_right(make_norm(c=12, groups=groups))


def test_right_where_a_case_is_several_shares(assert_right, make_norm):
    x = make_norm((130, 76), b=1, c=24, groups=3)
    assert numba_cpu._Task(x).shares > 1
    assert_right(x)


def test_a_mean_far_from_zero_costs_no_more_digits_than_its_own(make_norm):
    x = make_norm((64, 64), mean=1000.0)
    y = numba_cpu.forward(x)
    exact = composed.forward(x._replace(**{name: getattr(x, name).double() for name in TENSOR_NAMES}))
    # The map itself is rounded to 6e-5 of its deviation; from there on nothing is lost.
    assert (y - exact).abs().max() < 1e-4
    assert (y - exact).abs().max() <= (composed.forward(x) - exact).abs().max()


def test_one_number_that_stands_out_does_not_spoil_the_deviation(make_norm, assert_right):
    x = make_norm((32, 32))
    x.x[:, 0, 0] = 1e4
    assert_right(x)


def test_a_constant_map_becomes_the_bias(make_norm):
    x = make_norm(window=(1, 1))
    y = numba_cpu.forward(x._replace(x=torch.full_like(x.x, 3.7)))
    torch.testing.assert_close(y, x.bias.expand_as(y), rtol=0, atol=1e-5)


@pytest.mark.parametrize("c", [8, 12, 16])
def test_the_first_of_equal_maxima_gets_the_gradient(make_norm, c):
    x = make_norm((4, 8), b=1, c=c, groups=1)
    x.x.copy_(x.x.round())
    y, states = numba_cpu.forward_saving(x)
    leaves = [tensor.clone().requires_grad_() for tensor in x.tensors]
    dy = torch.arange(1.0, 1 + y.numel()).reshape(y.shape) / y.numel()
    dx, *_ = numba_cpu.backward(dy, x, states)
    expected, *_ = torch.autograd.grad(composed.forward(x._make([*leaves, *x[3:]])), leaves, dy)
    torch.testing.assert_close(dx, expected, rtol=1e-4, atol=1e-5)


def test_takes_operands_of_any_strides(make_norm):
    x = make_norm()
    strided = x._replace(x=x.x.movedim(-1, 1).contiguous().movedim(1, -1), weight=x.weight.repeat(2)[::2])
    x = x._replace(weight=strided.weight.contiguous())
    y, states = numba_cpu.forward_saving(x)
    assert torch.equal(numba_cpu.forward(strided), y)
    dy = y[:, :1].expand_as(y)
    pairs = zip(numba_cpu.backward(dy, strided, states), numba_cpu.backward(dy.clone(), x, states), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("shape", "pooled"), [({"b": 0}, (0, 3, 4, 8)), ({"spatial": (0, 4)}, (2, 0, 2, 8))], ids=str)
def test_empty_maps_give_empty_results(make_norm, shape, pooled):
    x = make_norm(**shape)
    y, states = numba_cpu.forward_saving(x)
    gradients = numba_cpu.backward(y, x, states)
    assert y.shape == pooled
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    assert not any(gradient.any() for gradient in gradients)


def test_nan_reaches_its_group_and_case_alone(make_norm):
    x = make_norm(b=2, c=8, groups=2)
    x.x[1, 3, 2, 5] = float("nan")
    wrong = numba_cpu.forward(x).isnan()
    assert wrong[1, ..., 4:].all()
    assert wrong.sum() == 4 * 3 * 4


@pytest.mark.parametrize("operand", TENSOR_NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("window", [(1, 1), (2, 2)], ids=str)
def test_nan_and_infinity_come_out_where_the_definition_has_them(make_norm, operand, value, window):
    x = make_norm(window=window)
    getattr(x, operand).view(-1)[7] = value
    assert torch.equal(numba_cpu.forward(x).isfinite(), composed.forward(x).isfinite())


def test_nan_in_the_incoming_gradient_comes_out(make_norm):
    x = make_norm(groups=2)
    y, states = numba_cpu.forward_saving(x)
    dy = torch.ones_like(y)
    dy[0, 1, 2, 3] = float("nan")
    dx, dweight, dbias = numba_cpu.backward(dy, x, states)
    assert dx[0, ..., :4].isnan().all()
    assert not dx[0, ..., 4:].isnan().any()
    assert not dx[1].isnan().any()
    assert dweight.isnan().nonzero().tolist() == dbias.isnan().nonzero().tolist() == [[3]]


def test_nothing_is_written_beyond_the_result_and_the_gradients(make_norm, monkeypatch):
    allocations = []

    def guarded(size):
        memory = torch.full((size.numel() + 64,), 77.0)
        allocations.append(memory)
        return memory[32:-32].view(size)

    x = make_norm((6, 10), c=7, groups=1)
    monkeypatch.setattr(numba_cpu, "new_result", lambda x: guarded(composed.forward(x).shape))
    monkeypatch.setattr(torch, "empty_like", lambda like, **_: guarded(like.shape))
    y, states = numba_cpu.forward_saving(x)
    numba_cpu.backward(y, x, states)
    assert len(allocations) == 4
    for memory in allocations:
        assert (memory[:32] == 77).all()
        assert (memory[-32:] == 77).all()


def test_results_repeat_bit_by_bit_on_any_number_of_threads(make_norm):
    x = make_norm((130, 76), b=2, c=24, groups=3)
    before, results = torch.get_num_threads(), []
    for n_threads in (2, 2, 1):
        torch.set_num_threads(n_threads)
        y, states = numba_cpu.forward_saving(x)
        results.append((y, *numba_cpu.backward(y, x, states)))
    torch.set_num_threads(before)
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))
