import pytest
import torch

from nnunet_mamba.ops import cross_scan
from nnunet_mamba.ops.directions import composed, numba_cpu, op
from nnunet_mamba.ops.directions.operands import TENSOR_NAMES, CrossScanOperands
from nnunet_mamba.ops.scan.backends import VARIABLE

SAVING = torch.ops.nnunet_mamba.cross_scan_saving.default
BACKWARD = torch.ops.nnunet_mamba.cross_scan_backward.default
# Rounding of float32 over a thousand steps and a product of few terms, relative to the largest number of the result.
TOLERANCE = 1e-5


def make_scan(spatial=(8, 9), *, b=2, d=18, n=16, rank=2, dt_bias=-2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, size=1.0):
        return torch.randn(*shape, generator=generator) * size

    length, directions = torch.Size(spatial).numel(), 2 * len(spatial)
    return CrossScanOperands(
        u=normal(b, length, d),
        projected=normal(b, length, directions, rank + 2 * n),
        dt_proj=normal(directions, d, rank, size=rank**-0.5),
        dt_bias=normal(directions, d) + dt_bias,
        A_logs=torch.rand(directions * d, n, generator=generator) * 2.7,
        Ds=normal(directions * d),
        spatial=spatial,
    )


def _leaves(x, dtype=torch.float32):
    return CrossScanOperands(*(tensor.to(dtype).clone().requires_grad_() for tensor in x.tensors), x.spatial)


def assert_right(x):
    """Compare the fused kernels with the definition in float64, output and every gradient by itself."""
    dy = x.u.flip(1).contiguous()
    y, states = numba_cpu.forward_saving(x)
    results = (y, *numba_cpu.backward(dy, x, states))
    leaves = _leaves(x, torch.float64)
    exact = composed.forward(leaves)
    expected = (exact, *torch.autograd.grad(exact, leaves.tensors, dy.double()))
    for name, result, right in zip(("y", *TENSOR_NAMES), results, expected, strict=True):
        assert result.shape == right.shape, name
        error, scale = (result - right).abs().max().item(), right.abs().max().item()
        assert error <= TOLERANCE * scale, f"{name}: error {error:.2e} of {scale:.2e}"
    assert torch.equal(numba_cpu.forward(x), y)


@pytest.mark.parametrize("spatial", [(1, 1), (1, 70), (70, 1), (8, 8), (13, 11), (32, 33), (5, 3, 7), (130,)], ids=str)
def test_right_for_maps_of_one_two_and_three_axes(spatial):
    assert_right(make_scan(spatial))


@pytest.mark.parametrize("d", [1, 16, 17, 100])
def test_right_at_every_width(d):
    assert_right(make_scan(d=d))


@pytest.mark.parametrize("n", [1, 5, 17, 64])
@pytest.mark.parametrize("rank", [1, 6, 20])
def test_right_for_every_state_size_and_rank(n, rank):
    assert_right(make_scan(n=n, rank=rank, spatial=(9, 8)))


@pytest.mark.parametrize("dt_bias", [-15.0, 3.0, 60.0])
def test_right_for_tiny_and_huge_steps(dt_bias):
    assert_right(make_scan(dt_bias=dt_bias))


def test_right_where_the_channels_are_one_share(monkeypatch):
    monkeypatch.setattr(numba_cpu, "_JOBS", 1)
    assert_right(make_scan(d=70))


def test_takes_operands_of_any_strides():
    x = make_scan()
    strided = x._replace(
        u=x.u.mT.contiguous().mT, projected=x.projected.flip(3).flip(3), A_logs=x.A_logs.t().contiguous().t()
    )
    assert torch.equal(numba_cpu.forward(strided), numba_cpu.forward(x))


@pytest.mark.parametrize("shape", [{"b": 0}, {"spatial": (0, 4)}], ids=str)
def test_empty_maps_give_empty_results(shape):
    x = make_scan(**shape)
    y, states = numba_cpu.forward_saving(x)
    gradients = numba_cpu.backward(y, x, states)
    assert y.shape == x.u.shape
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    assert not any(gradient.any() for gradient in gradients)


def test_nan_reaches_the_whole_map_of_its_channel_and_case():
    x = make_scan(b=2, spatial=(4, 5))
    x.u[1, 7, 2] = float("nan")
    wrong = numba_cpu.forward(x).isnan()
    assert wrong[1, :, 2].all()
    assert wrong.sum() == 20


@pytest.mark.parametrize("operand", TENSOR_NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_definition_has_them(operand, value):
    x = make_scan()
    getattr(x, operand).view(-1)[7] = value
    assert torch.equal(numba_cpu.forward(x).isfinite(), composed.forward(x).isfinite())


def test_results_repeat_bit_by_bit_on_any_number_of_threads():
    x = make_scan((12, 13), b=1, d=70)
    before, results = torch.get_num_threads(), []
    for n_threads in (2, 2, 1):
        torch.set_num_threads(n_threads)
        y, states = numba_cpu.forward_saving(x)
        results.append((y, *numba_cpu.backward(x.u, x, states)))
    torch.set_num_threads(before)
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


def test_is_a_correct_torch_operator():
    x = make_scan((6, 11), d=5, n=2)
    y, states = SAVING(*x)
    torch.library.opcheck(BACKWARD, (torch.ones_like(y), states, *x))
    torch.library.opcheck(torch.ops.nnunet_mamba.cross_scan.default, tuple(x))
    torch.library.opcheck(SAVING, tuple(_leaves(x)))


@pytest.fixture
def fused_calls(monkeypatch):
    """Note the calls of the fused kernels that a test makes."""
    calls = []
    op._probe_failure()
    for name in ("forward", "forward_saving"):
        original = getattr(numba_cpu, name)
        monkeypatch.setattr(numba_cpu, name, lambda x, name=name, original=original: calls.append(name) or original(x))
    return calls


def _scan(x):
    *tensors, spatial = x  # torch.compile of torch 2.6 does not trace ``x.tensors``
    named = dict(zip(TENSOR_NAMES, tensors, strict=True))
    return cross_scan(named.pop("u"), **named, spatial=spatial)


def test_a_cpu_reads_the_directions_by_index_and_saves_states_for_gradients_alone(fused_calls):
    x = _leaves(make_scan())
    y = _scan(x)
    with torch.no_grad():
        assert torch.equal(_scan(x), y)
    assert fused_calls == ["forward_saving", "forward"]


def test_double_precision_and_other_backends_are_composed(monkeypatch, fused_calls):
    x = make_scan()
    exact = CrossScanOperands(*(tensor.double() for tensor in x.tensors), x.spatial)
    assert torch.equal(_scan(exact), composed.forward(exact))
    monkeypatch.setenv(VARIABLE, "reference")
    assert torch.equal(_scan(x), composed.forward(x))
    assert not fused_calls


def test_wrong_kernels_are_not_used(monkeypatch):
    right = numba_cpu.backward
    op._probe_failure.cache_clear()
    monkeypatch.setattr(numba_cpu, "backward", lambda *given: (*right(*given)[:-1], right(*given)[-1] * 1.01))
    x = make_scan()
    assert torch.equal(_scan(x), composed.forward(x))
    assert "relative error 1.0e-02 in Ds" in op._probe_failure()
    op._probe_failure.cache_clear()


def test_compiles_without_a_graph_break_and_with_gradients(fused_calls):
    expected, compiled = _leaves(make_scan()), _leaves(make_scan())
    y = _scan(expected)
    gradients = torch.autograd.grad(y.square().sum(), expected.tensors)
    function = torch.compile(
        lambda *given: _scan(CrossScanOperands(*given, (8, 9))), fullgraph=True, backend="aot_eager"
    )
    again = function(*compiled.tensors)
    torch.testing.assert_close(y, again, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients, torch.autograd.grad(again.square().sum(), compiled.tensors), strict=True):
        assert (a - b).abs().max() <= TOLERANCE * b.abs().max()
    # torch 2.6 cannot tell compiling from exporting, and composes.
    is_told_apart = hasattr(torch.compiler, "is_exporting")
    assert fused_calls == ["forward_saving"] * (1 + is_told_apart)


class _Scan(torch.nn.Module):
    def forward(self, *tensors):
        return _scan(CrossScanOperands(*tensors, (8, 9)))


def test_an_exported_scan_is_composed_of_portable_operators():
    x = make_scan()
    program = torch.export.export(_Scan(), x.tensors)
    ours = [str(node.target) for node in program.graph.nodes if "nnunet_mamba" in str(node.target)]
    assert ours == ["nnunet_mamba.selective_scan.default"]
    torch.testing.assert_close(program.module()(*x.tensors), _scan(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad])
def test_may_first_be_used_where_gradients_are_not_allowed(fused_calls, context):
    op._probe_failure.cache_clear()
    x = make_scan()
    with context():
        _scan(x)
    assert op._probe_failure() is None
    assert fused_calls[-1] == "forward"
