"""What is the few maps' own; ``test_fused_operator`` has what they share with other fused operators."""

import pytest
import torch

from nnunet_mamba.ops import few_map_convolution
from nnunet_mamba.ops.few_maps import composed, numba_cpu, op
from nnunet_mamba.ops.few_maps.operands import FewMapOperands, refusal
from nnunet_mamba.ops.flops import flop_counter


def convolve(x):
    return few_map_convolution(*x.tensors, dilation=x.dilation)


@pytest.fixture
def fused_calls(note_calls):
    op._probe_failure()
    op._probe_failure(True)
    return note_calls(numba_cpu)


SHAPES = {
    "bridge": {"height": 33, "width": 47},
    "one row": {"height": 1, "width": 16, "taps": (1, 3), "dilation": 1},
    "one row of lanes": {"width": 16},
    "four rows of lanes": {"width": 64},
    "one more than four": {"width": 65},
    "just not four": {"width": 49},
    "several jobs": {"b": 1, "height": 70, "width": 19},
    "several of all": {"b": 3, "c_in": 3, "c_out": 4, "width": 100, "taps": (3, 5), "dilation": 1},
    "one tap": {"taps": (1, 1)},
    "a row of taps": {"taps": (1, 9), "dilation": 2},
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_loops_agree_with_torch_forwards_and_backwards(make_maps, fused_calls, name):
    x = make_maps(**SHAPES[name])
    leaves = [tensor.clone().requires_grad_() for tensor in x.tensors]
    exact = [tensor.double().requires_grad_() for tensor in x.tensors]
    y, expected = convolve(FewMapOperands(*leaves, x.dilation)), composed.forward(FewMapOperands(*exact, x.dilation))
    dy = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape)
    found = (y, *torch.autograd.grad(y, leaves, dy.float()))
    for one, other in zip(found, (expected, *torch.autograd.grad(expected, exact, dy)), strict=True):
        size = max(1.0, other.detach().abs().max().item())
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5 * size)
    assert fused_calls == ["forward_saving"]


def test_the_number_of_threads_changes_nothing(make_maps):
    x = make_maps(b=3, height=70, width=70)
    kept = torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2, 5):
            torch.set_num_threads(n_threads)
            y, states = numba_cpu.forward_saving(x)
            results.append((y, *numba_cpu.backward(y, x, states)))
    finally:
        torch.set_num_threads(kept)
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))


@pytest.mark.parametrize("layout", ["channels last", "turned", "every second"])
def test_maps_lie_in_memory_as_they_like(make_maps, layout):
    x = make_maps(c_in=3, height=36, width=36)
    maps = {
        "channels last": lambda: x.x.contiguous(memory_format=torch.channels_last),
        "turned": lambda: x.x.mT,
        "every second": lambda: x.x[..., ::2],
    }[layout]()
    torch.testing.assert_close(convolve(x._replace(x=maps)), composed.forward(x._replace(x=maps)), rtol=1e-5, atol=1e-5)


def test_a_number_that_is_not_finite_stays_within_the_reach_of_the_filter(make_maps):
    x = make_maps(b=1, height=30, width=40)
    x.x[0, 0, 10, 20] = torch.nan
    assert torch.equal(convolve(x).isnan(), composed.forward(x).isnan())


def test_no_maps_give_no_maps(make_maps):
    x = make_maps(b=1)
    empty = x._replace(x=x.x[:0].requires_grad_())
    y = convolve(empty)
    assert y.shape == (0, 1, 9, 20)
    y.sum().backward()
    assert empty.x.grad.shape == empty.x.shape


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": torch.float64}, "torch.float64 on cpu is not float32 on a CPU"),
        ({"c_in": 16, "c_out": 8, "taps": (3, 3)}, "1152 numbers in the filters are more than 1024"),
        (
            {"width": 15},
            "maps of 15 columns are narrower than the 16 that are computed at once",
        ),
        (
            {"height": 8},
            "taps that reach beyond the maps on both sides would ask for more zeros than there are numbers",
        ),
    ],
    ids=["float64", "large filters", "narrow maps", "far taps"],
)
def test_what_the_loops_do_not_take_is_torchs(make_maps, fused_calls, change, reason):
    x = make_maps(**change)
    assert refusal(x) == reason
    assert torch.equal(convolve(x), composed.forward(x))
    assert not fused_calls


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": torch.ones(2, 9, 20)}, ValueError, r"x has shape \(2, 9, 20\), expected \(b, c_in, h, w\)"),
        ({"x": torch.ones(2, 3, 9, 20)}, ValueError, r"weight has shape \(1, 2, 7, 7\), expected"),
        ({"weight": torch.ones(1, 2, 7, 4)}, ValueError, "weight has 7×4 taps, expected odd numbers"),
        ({"bias": torch.ones(2)}, ValueError, r"bias has shape \(2,\), expected \(c_out,\) = \(1,\)"),
        ({"bias": torch.ones(1).double()}, TypeError, "bias is torch.float64 but x is torch.float32"),
        ({"dilation": 0}, ValueError, "dilation=0, expected 1 or more"),
        ({"dilation": 2**40}, ValueError, "dilation=1099511627776, expected 1 or more, and at most 1048576"),
        ({"dilation": 1.5}, TypeError, "dilation is 1.5 of type float, expected a whole number"),
        ({"dilation": True}, TypeError, "dilation is True of type bool, expected a whole number"),
    ],
)
def test_operands_that_do_not_fit_are_named(make_maps, change, error, text):
    with pytest.raises(error, match=text):
        convolve(make_maps()._replace(**change))


def test_gradients_are_those_of_the_definition_in_float64(make_maps):
    x = make_maps(b=1, height=4, width=5, taps=(3, 3), dilation=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda *tensors: few_map_convolution(*tensors), [tensor.requires_grad_() for tensor in x.tensors]
    )


def test_costs_what_torchs_convolution_costs(make_maps):
    x = make_maps()
    leaves = [tensor.requires_grad_() for tensor in x.tensors]
    counts = []
    for call in (convolve, composed.forward):
        op._probe_failure()
        with flop_counter() as counter:
            call(FewMapOperands(*leaves, x.dilation)).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] == 3 * 2 * 2 * 9 * 20 * 98


@pytest.mark.parametrize("mapped", [(0, None, None), (0, 0, 0)], ids=["maps", "all"])
def test_is_mapped_over_a_new_axis(make_maps, mapped):
    x = make_maps(b=2)
    operands = [torch.stack([one, one * 2]) if axis == 0 else one for one, axis in zip(x.tensors, mapped, strict=True)]
    found = torch.vmap(few_map_convolution, in_dims=mapped)(*operands)
    rows = [[one[i] if axis == 0 else one for one, axis in zip(operands, mapped, strict=True)] for i in range(2)]
    torch.testing.assert_close(found, torch.stack([few_map_convolution(*row) for row in rows]), rtol=1e-5, atol=1e-5)


def test_the_way_to_second_derivatives_is_told_and_works(make_maps):
    x = make_maps(b=1)
    maps = x.x.requires_grad_()
    (first,) = torch.autograd.grad(convolve(x).square().sum(), maps, create_graph=True)
    with pytest.raises(NotImplementedError, match=r"need float64 operands, for which torch's operators compute it"):
        first.sum().backward()
    exact = x._replace(x=x.x.detach().double().requires_grad_(), weight=x.weight.double(), bias=x.bias.double())
    (first,) = torch.autograd.grad(convolve(exact).square().sum(), exact.x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), exact.x)
    assert second.abs().sum() > 0
