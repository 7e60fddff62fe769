import pytest
import torch

from nnunet_mamba.ops import mamba_mixer
from nnunet_mamba.ops.mixer import composed, numba_cpu, op
from nnunet_mamba.ops.mixer.operands import TENSOR_NAMES, MambaOperands, refusal
from nnunet_mamba.ops.scan import backends, reference
from nnunet_mamba.ops.scan.backends import VARIABLE

SAVING = torch.ops.nnunet_mamba.mamba_mixer_saving.default
BACKWARD = torch.ops.nnunet_mamba.mamba_mixer_backward.default
# Rounding of float32 over a block's few products and a thousand steps, relative to the largest number of the result.
TOLERANCE = 1e-5


def make_block(
    b=2,
    length=70,
    d_model=6,
    *,
    expand=2,
    n=16,
    d_conv=4,
    rank=1,
    n_parallel=1,
    reverse=False,
    conv_bias=True,
    dt_bias=-2.0,
    seed=0,
):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, size=1.0):
        return torch.randn(*shape, generator=generator) * size

    d_inner = expand * d_model
    return MambaOperands(
        tokens=normal(b, length, n_parallel * d_model),
        in_proj=normal(2 * d_inner, d_model, size=d_model**-0.5),
        conv=normal(d_inner, 1, d_conv, size=d_conv**-0.5),
        conv_bias=normal(d_inner, size=0.3) if conv_bias else None,
        x_proj=normal(rank + 2 * n, d_inner, size=d_inner**-0.5),
        dt_proj=normal(d_inner, rank),
        dt_bias=normal(d_inner) + dt_bias,
        A_log=torch.rand(d_inner, n, generator=generator) * 2.7,
        D=normal(d_inner),
        out_proj=normal(d_model, d_inner, size=d_inner**-0.5),
        n_parallel=n_parallel,
        reverse=reverse,
    )


def _leaves(x, dtype=torch.float32):
    tensors = [None if tensor is None else tensor.to(dtype).clone().requires_grad_() for tensor in x.tensors]
    return MambaOperands(*tensors, n_parallel=x.n_parallel, reverse=x.reverse)


def _gradients(mixed, x, dmixed):
    return torch.autograd.grad(mixed, [tensor for tensor in x.tensors if tensor is not None], dmixed)


def assert_right(x):
    """Compare the fused kernels with the definition in float64, output and every gradient by itself."""
    dmixed = x.tokens.flip(1).contiguous()
    mixed, states = numba_cpu.forward_saving(x)
    gradients = numba_cpu.backward(dmixed, x, states)
    leaves = _leaves(x, torch.float64)
    exact = composed.forward(leaves)
    expected = [exact, *_gradients(exact, leaves, dmixed.double())]
    results = [mixed, *(gradient for gradient in gradients if gradient is not None)]
    names = ["mixed", *(name for name, tensor in zip(TENSOR_NAMES, x.tensors, strict=True) if tensor is not None)]
    for name, result, right in zip(names, results, expected, strict=True):
        assert result.shape == right.shape, name
        error, scale = (result - right).abs().max().item(), right.abs().max().item()
        assert error <= TOLERANCE * scale, f"{name}: error {error:.2e} of {scale:.2e}"
    assert torch.equal(numba_cpu.forward(x), mixed)


@pytest.mark.parametrize("length", [1, 2, 3, 63, 64, 65, 67, 300])
def test_right_at_every_length(length):
    assert_right(make_block(length=length))


@pytest.mark.parametrize(("d_model", "expand"), [(1, 1), (3, 1), (8, 2), (9, 2), (16, 2), (17, 3), (32, 2)])
def test_right_at_every_width(d_model, expand):
    assert_right(make_block(d_model=d_model, expand=expand))


@pytest.mark.parametrize("n", [1, 5, 16, 17, 33])
def test_right_for_every_state_size(n):
    assert_right(make_block(n=n, d_model=9))


@pytest.mark.parametrize("d_conv", [1, 2, 7, 64])
@pytest.mark.parametrize("conv_bias", [True, False])
def test_right_for_every_convolution(d_conv, conv_bias):
    assert_right(make_block(d_conv=d_conv, conv_bias=conv_bias, length=130))


@pytest.mark.parametrize("rank", [2, 5, 17])
def test_right_for_every_rank_of_the_step_size(rank):
    assert_right(make_block(rank=rank, d_model=10))


@pytest.mark.parametrize("n_parallel", [2, 4])
@pytest.mark.parametrize("reverse", [False, True])
def test_right_for_parallel_chunks(n_parallel, reverse):
    assert_right(make_block(n_parallel=n_parallel, d_model=5, reverse=reverse))


@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 67, 300])
def test_right_from_the_last_token_to_the_first(length):
    assert_right(make_block(length=length, reverse=True))


@pytest.mark.parametrize("d_conv", [1, 7, 64])
def test_right_for_every_convolution_from_the_last_token_to_the_first(d_conv):
    assert_right(make_block(d_conv=d_conv, length=130, d_model=17, reverse=True))


@pytest.mark.parametrize("run", [composed.forward, numba_cpu.forward])
def test_reverse_flips_the_tokens_and_flips_the_result_back(run):
    x = make_block(length=70, n_parallel=2)
    flipped = run(x._replace(tokens=x.tokens.flip(1))).flip(1)
    assert torch.equal(run(x._replace(reverse=True)), flipped)
    assert not torch.allclose(flipped, run(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dt_bias", [-15.0, 3.0, 60.0])
def test_right_for_tiny_and_huge_steps(dt_bias):
    assert_right(make_block(dt_bias=dt_bias))


def test_takes_tokens_of_any_strides():
    x = make_block(d_model=6, length=70)
    strided = x._replace(tokens=x.tokens.transpose(0, 1).contiguous().transpose(0, 1))
    assert torch.equal(numba_cpu.forward(strided), numba_cpu.forward(x))
    _, states = numba_cpu.forward_saving(x)
    dmixed = x.tokens[:, :1].expand_as(x.tokens)
    pairs = zip(
        numba_cpu.backward(dmixed, strided, states), numba_cpu.backward(dmixed.contiguous(), x, states), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("shape", [{"b": 0}, {"length": 0}], ids=str)
def test_empty_tokens_give_empty_results(shape):
    x = make_block(**shape)
    mixed, states = numba_cpu.forward_saving(x)
    gradients = numba_cpu.backward(mixed, x, states)
    assert mixed.shape == x.tokens.shape
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    assert not any(gradient.any() for gradient in gradients)


def test_nan_stays_in_its_sequence_and_after_its_token():
    x = make_block(b=2, n_parallel=2, d_model=3, length=70)
    x.tokens[1, 40, 4] = float("nan")
    wrong = numba_cpu.forward(x).isnan()
    assert wrong[1, 40:, 3:].all()
    assert wrong.sum() == 30 * 3


@pytest.mark.parametrize("operand", ["tokens", "in_proj", "conv", "x_proj", "dt_bias", "A_log", "D", "out_proj"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_definition_has_them(operand, value):
    x = make_block(length=70)
    getattr(x, operand).view(-1)[7] = value
    assert torch.equal(numba_cpu.forward(x).isfinite(), composed.forward(x).isfinite())


def test_nan_in_the_incoming_gradient_comes_out():
    x = make_block(length=70)
    _, states = numba_cpu.forward_saving(x)
    dmixed = torch.ones_like(x.tokens)
    dmixed[0, 20, 2] = float("nan")
    dtokens, *of_weights = numba_cpu.backward(dmixed, x, states)
    assert dtokens[0, :21].isnan().all()
    assert not dtokens[0, 21:].isnan().any()
    assert not dtokens[1].isnan().any()
    assert all(gradient.isnan().any() for gradient in of_weights)


def test_results_repeat_bit_by_bit_on_any_number_of_threads():
    x = make_block(b=3, n_parallel=2, length=130)
    before, results = torch.get_num_threads(), []
    for n_threads in (2, 2, 1):
        torch.set_num_threads(n_threads)
        mixed, states = numba_cpu.forward_saving(x)
        results.append((mixed, *numba_cpu.backward(x.tokens, x, states)))
    torch.set_num_threads(before)
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


def test_refuses_weights_of_another_dtype():
    x = make_block()
    with pytest.raises(
        TypeError, match=r"D is torch.float64 on cpu, expected torch.float32 on cpu like the other operands; convert it"
    ):
        numba_cpu.forward(x._replace(D=x.D.double()))


@pytest.mark.parametrize("conv_bias", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_is_a_correct_torch_operator(conv_bias, reverse):
    x = make_block(conv_bias=conv_bias, n_parallel=2, d_model=3, n=2, length=66, reverse=reverse)
    mixed, states = SAVING(*x)
    torch.library.opcheck(BACKWARD, (torch.ones_like(mixed), states, *x))
    torch.library.opcheck(torch.ops.nnunet_mamba.mamba_mixer.default, tuple(x))
    torch.library.opcheck(SAVING, tuple(_leaves(x)))


@pytest.fixture
def fused_calls(monkeypatch):
    """Note the calls of the fused kernels that a test makes."""
    calls = []
    for name in ("forward", "forward_saving"):
        original = getattr(numba_cpu, name)

        def noting(x, name=name, original=original):
            calls.append(name)
            return original(x)

        monkeypatch.setattr(numba_cpu, name, noting)
    op._probe_failure()
    calls.clear()
    return calls


def _mix(x, **biases):
    *tensors, n_parallel, reverse = x  # torch.compile of torch 2.6 does not trace ``x.tensors``
    named = dict(zip(TENSOR_NAMES, tensors, strict=True))
    return mamba_mixer(named.pop("tokens"), **named, n_parallel=n_parallel, reverse=reverse, **biases)


def test_small_blocks_are_fused_and_save_states_for_gradients_alone(fused_calls):
    x = _leaves(make_block())
    mixed = _mix(x)
    with torch.no_grad():
        assert torch.equal(_mix(x), mixed)
    assert fused_calls == ["forward_saving", "forward"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"d_model": 33}, "d_inner = 66 is above 64"),
        ({"d_conv": 65}, "d_conv = 65 is above 64"),
    ],
)
def test_large_blocks_are_composed(fused_calls, change, reason):
    x = make_block(**change)
    assert refusal(x) == reason
    assert torch.equal(_mix(x), composed.forward(x))
    assert not fused_calls


def test_double_precision_and_layers_with_bias_are_composed(fused_calls):
    x = make_block()
    in_bias, out_bias = torch.ones(24), torch.ones(6)
    assert torch.equal(_mix(x, in_bias=in_bias, out_bias=out_bias), composed.forward(x, in_bias, out_bias))
    exact = MambaOperands(*(tensor.double() for tensor in x.tensors))
    assert torch.equal(_mix(exact), composed.forward(exact))
    assert not fused_calls


def test_another_scan_backend_means_composed(monkeypatch, fused_calls):
    x = make_block()
    monkeypatch.setenv(VARIABLE, "reference")
    assert torch.equal(_mix(x), composed.forward(x))
    assert not fused_calls


@pytest.fixture
def _forgetful():
    op._probe_failure.cache_clear()
    yield
    op._probe_failure.cache_clear()


@pytest.mark.usefixtures("_forgetful")
def test_wrong_kernels_are_not_used(monkeypatch):
    right = numba_cpu.backward
    monkeypatch.setattr(numba_cpu, "backward", lambda *given: (*right(*given)[:-1], right(*given)[-1] * 1.01))
    x = make_block()
    assert torch.equal(_mix(x), composed.forward(x))
    assert "relative error 1.0e-02 in out_proj" in op._probe_failure()


@pytest.mark.usefixtures("_forgetful")
def test_kernels_that_are_wrong_in_one_order_alone_are_not_used(monkeypatch):
    right = numba_cpu.forward_saving
    monkeypatch.setattr(numba_cpu, "forward_saving", lambda x: right(x._replace(reverse=False)))
    x = make_block(reverse=True)
    assert torch.equal(_mix(x), composed.forward(x))
    assert "in mixed" in op._probe_failure()


@pytest.mark.usefixtures("_forgetful")
def test_failing_kernels_are_not_used(monkeypatch):
    def forward_saving(x):
        raise OSError("no space left")

    monkeypatch.setattr(numba_cpu, "forward_saving", forward_saving)
    x = make_block()
    assert torch.equal(_mix(x), composed.forward(x))
    assert op._probe_failure() == "its test run failed: OSError: no space left"


@pytest.mark.parametrize("reverse", [False, True])
def test_compiles_without_a_graph_break_and_with_gradients(fused_calls, reverse):
    expected, compiled = (_leaves(make_block(n_parallel=2, reverse=reverse)) for _ in range(2))
    mixed = _mix(expected)
    gradients = _gradients(mixed.square().sum(), expected, None)
    function = torch.compile(lambda *given: _mix(MambaOperands(*given)), fullgraph=True, backend="aot_eager")
    again = function(*compiled)
    torch.testing.assert_close(mixed, again, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients, _gradients(again.square().sum(), compiled, None), strict=True):
        assert (a - b).abs().max() <= TOLERANCE * b.abs().max()
    # torch 2.6 cannot tell compiling from exporting, and composes.
    is_told_apart = hasattr(torch.compiler, "is_exporting")
    assert fused_calls == ["forward_saving"] * (1 + is_told_apart)


class _Mixer(torch.nn.Module):
    def __init__(self, *, reverse):
        super().__init__()
        self.reverse = reverse

    def forward(self, *tensors):
        return _mix(MambaOperands(*tensors, reverse=self.reverse))


@pytest.mark.parametrize("reverse", [False, True])
def test_an_exported_block_is_composed_of_portable_operators(reverse):
    x = make_block(length=20, reverse=reverse)
    program = torch.export.export(_Mixer(reverse=reverse), x.tensors)
    ours = [str(node.target) for node in program.graph.nodes if "nnunet_mamba" in str(node.target)]
    assert ours == ["nnunet_mamba.selective_scan.default"]
    torch.testing.assert_close(program.module()(*x.tensors), _mix(x), rtol=1e-5, atol=1e-5)


def test_an_exported_block_takes_any_number_of_cases_and_tokens():
    x, other = make_block(n_parallel=2), make_block(b=5, length=90, n_parallel=2)
    tokens, *weights = x.tensors

    class Mixer(torch.nn.Module):
        def forward(self, tokens):
            return _mix(MambaOperands(tokens, *weights, n_parallel=2))

    sizes = {0: torch.export.Dim("cases", max=64), 1: torch.export.Dim("length", min=2, max=4096)}
    program = torch.export.export(Mixer(), (tokens,), dynamic_shapes={"tokens": sizes})
    expected = composed.forward(x._replace(tokens=other.tokens))
    torch.testing.assert_close(program.module()(other.tokens), expected, rtol=1e-5, atol=1e-5)


def test_no_array_of_tokens_times_channels_is_kept_for_the_backward_pass():
    x = _leaves(make_block(b=1, length=4096))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        _mix(x)
    operands = {tensor.data_ptr() for tensor in x.tensors}
    extra = sum(tensor.numel() for tensor in kept if tensor.data_ptr() not in operands)
    assert extra == 4096 // 64 * 16 * 16  # chunks, states, lanes


def test_the_reference_backend_proves_the_definition():
    # One token: the state is the update alone.
    x = make_block(b=1, length=1, d_conv=1, conv_bias=False)
    x = MambaOperands(*(None if tensor is None else tensor.double() for tensor in x.tensors))
    token = x.tokens[0, 0]
    u, z = (x.in_proj @ token).chunk(2)
    u = torch.nn.functional.silu(u * x.conv[:, 0, 0])
    dt, B, C = (x.x_proj @ u).split([1, 16, 16])
    step = torch.nn.functional.softplus(x.dt_proj @ dt + x.dt_bias)
    y = (step * u * (B @ C) + x.D * u) * torch.nn.functional.silu(z)
    assert backends.choose_backend(x.tokens).load() is reference
    torch.testing.assert_close(composed.forward(x)[0, 0], x.out_proj @ y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad])
def test_may_first_be_used_where_gradients_are_not_allowed(fused_calls, context):
    op._probe_failure.cache_clear()
    x = make_block()
    with context():
        _mix(x)
    assert op._probe_failure() is None
    assert fused_calls[-1] == "forward"
