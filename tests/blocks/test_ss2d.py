import math

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.ops.scan.backends import VARIABLE

# Largest difference allowed between the block and the loop over pixels, relative to the largest number: rounding.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
SIZES = [(5, 3), (2, 9), (1, 6), (6, 1), (1, 1), (4, 4)]


def reading_orders(h, w):
    rows = [(i, j) for i in range(h) for j in range(w)]
    columns = [(i, j) for j in range(w) for i in range(h)]
    return rows, columns, rows[::-1], columns[::-1]


def loop_over_pixels(block, x):
    """The definition of SS2D, one pixel and one direction at a time."""
    (b, h, w, _), d_inner, n = x.shape, block.out_norm.normalized_shape[0], block.d_state
    inner, gate = (x @ block.in_proj.weight.T).chunk(2, dim=-1)
    padded = functional.pad(inner, (0, 0, 1, 1, 1, 1))
    taps = [padded[:, i : i + h, j : j + w] * block.conv2d.weight[:, 0, i, j] for i in range(3) for j in range(3)]
    inner = functional.silu(sum(taps) + block.conv2d.bias)
    A, D = -torch.exp(block.A_logs).view(4, d_inner, n), block.Ds.view(4, d_inner)
    sums = [[0 for _ in range(w)] for _ in range(h)]
    for k, order in enumerate(reading_orders(h, w)):
        state = x.new_zeros(b, d_inner, n)
        for i, j in order:
            u = inner[:, i, j]
            dt, B, C = (u @ block.x_proj_weight[k].T).split([block.dt_rank, n, n], dim=1)
            step = functional.softplus(dt @ block.dt_projs_weight[k].T + block.dt_projs_bias[k])
            state = torch.exp(step[..., None] * A[k]) * state + (step * u)[..., None] * B[:, None]
            sums[i][j] = sums[i][j] + (state * C[:, None]).sum(dim=2) + D[k] * u
    y = torch.stack([torch.stack(row, dim=1) for row in sums], dim=1)
    centred = y - y.mean(dim=3, keepdim=True)
    y = centred / torch.sqrt(centred.square().mean(dim=3, keepdim=True) + 1e-5)
    y = y * block.out_norm.weight + block.out_norm.bias
    return (y * functional.silu(gate)) @ block.out_proj.weight.T


def gradients(block, y, x, r):
    names, parameters = zip(*block.named_parameters(), strict=True)
    return dict(zip(("input", *names), torch.autograd.grad((y * r).sum(), (x, *parameters)), strict=True))


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def block():
    return SS2D(6)


@pytest.fixture(params=["default", "reference"])
def scan_backend(request, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    if request.param == "reference":
        monkeypatch.setenv(VARIABLE, "reference")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_a_loop_over_pixels_in_output_and_all_gradients(size, dtype):
    block = SS2D(4, d_state=3, dt_rank=2).to(dtype)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    x = torch.randn(2, *size, 4, dtype=dtype, requires_grad=True)
    r = torch.randn(2, *size, 4, dtype=dtype)
    exact, exact_x = SS2D(4, d_state=3, dt_rank=2).double(), x.detach().double().requires_grad_()
    exact.load_state_dict(block.state_dict())

    result, expected = block(x), loop_over_pixels(exact, exact_x)

    ours = {"output": result, **gradients(block, result, x, r)}
    right = {"output": expected, **gradients(exact, expected, exact_x, r.double())}
    for key, value in ours.items():
        assert value.dtype == dtype
        assert value.shape == right[key].shape
        error = (value.double() - right[key]).abs().max().item()
        assert error <= TOLERANCE[dtype] * right[key].abs().max().item(), f"{key}: error {error:.2e}"


def test_gradients_are_those_of_finite_differences():
    block = SS2D(2, d_state=2, expand=1).double()
    names, parameters = zip(*block.named_parameters(), strict=True)
    x = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)

    def call(x, *values):
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x,))

    # Along random directions; entry by entry the gradients are compared with the loop's.
    assert torch.autograd.gradcheck(call, (x, *parameters), fast_mode=True)


def test_every_pixel_sees_every_other(block):
    x = torch.randn(1, 4, 5, 6)
    changed = x.clone()
    changed[0, 1, 2] += 1

    with torch.no_grad():
        assert (block(x) - block(changed)).abs().amax(dim=3).all()


def test_cases_of_a_batch_do_not_see_each_other(block):
    x = torch.randn(3, 4, 5, 6)

    with torch.no_grad():
        torch.testing.assert_close(block(x)[1:2], block(x[1:2]), rtol=1e-5, atol=1e-6)


def test_autocast_changes_nothing(block):
    x = torch.randn(2, 4, 5, 6, requires_grad=True)
    expected = block(x)
    expected_gradients = gradients(block, expected, x, expected.detach())

    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = block(x)

    assert result.dtype == torch.float32
    assert torch.equal(result, expected)
    for key, gradient in gradients(block, result, x, expected.detach()).items():
        assert torch.equal(gradient, expected_gradients[key]), key


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_widened(block, dtype):
    x = torch.randn(1, 4, 5, 6).to(dtype)

    with torch.no_grad():
        result = block(x)
        assert result.dtype == torch.float32
        assert torch.equal(result, block(x.float()))


def test_strided_maps_give_the_same_result(block):
    x = torch.randn(2, 6, 4, 5).permute(0, 2, 3, 1)

    with torch.no_grad():
        assert torch.equal(block(x), block(x.contiguous()))


def test_initial_step_sizes_lie_between_a_thousandth_and_a_tenth_in_every_direction():
    steps = functional.softplus(SS2D(200).dt_projs_bias)

    for direction in steps:
        assert 1e-3 * 0.999 <= direction.min() < 2e-3
        assert 5e-2 < direction.max() <= 1e-1 * 1.001
    assert len(torch.unique(steps[:, 0])) == 4


def test_initial_state_space_is_the_published_one():
    block = SS2D(32)

    assert torch.equal(block.A_logs, torch.arange(1, 17).float().log().expand(4 * 64, 16))
    assert torch.equal(block.Ds, torch.ones(4 * 64))
    for weight, inputs in ((block.dt_projs_weight, 2), (block.x_proj_weight, 64)):
        for direction in weight:
            assert 0.9 * inputs**-0.5 < direction.abs().max() <= inputs**-0.5


def test_time_constants_and_skips_refuse_weight_decay(block):
    marked = {name for name, parameter in block.named_parameters() if getattr(parameter, "_no_weight_decay", False)}

    assert marked == {"A_logs", "Ds"}


@pytest.mark.parametrize("d_model", [16, 17])
def test_automatic_rank_of_the_step_size_is_a_sixteenth_of_the_width(d_model):
    assert SS2D(d_model).dt_projs_weight.shape == (4, 2 * d_model, math.ceil(d_model / 16))


def test_compiles_into_one_graph_under_autocast(block):
    x = torch.randn(2, 4, 5, 6)
    compiled = torch.compile(block, backend="eager", fullgraph=True)

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(compiled(x), block(x))


def test_runs_on_the_meta_device():
    with torch.device("meta"):
        assert SS2D(6)(torch.empty(2, 4, 5, 6)).shape == (2, 4, 5, 6)


@pytest.mark.parametrize("name", ["d_state", "d_conv", "expand", "dt_rank"])
def test_refuses_sizes_below_one(name):
    with pytest.raises(ValueError, match=f"{name}=0, expected a positive integer; pass {name} >= 1"):
        SS2D(4, **{name: 0})


def test_refuses_an_even_convolution():
    with pytest.raises(ValueError, match="d_conv=4, expected an odd number, which keeps the map's size; pass 5"):
        SS2D(4, d_conv=4)


@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (4, 5, 6), (2, 3, 4, 5, 6)])
def test_refuses_maps_of_another_width_or_rank(block, shape):
    with pytest.raises(ValueError, match=r"SS2D: map of shape .* expected \(b, h, w, d_model\) with d_model = 6; move"):
        block(torch.zeros(shape))
