"""What holds for every operator that is fused on a CPU: when it is fused, when composed, and what torch makes of it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from nnunet_mamba.ops import cross_scan, few_map_convolution, mamba_mixer, pooled_group_norm
from nnunet_mamba.ops.directions import composed as composed_directions
from nnunet_mamba.ops.directions import numba_cpu as directions_kernels
from nnunet_mamba.ops.directions import op as directions
from nnunet_mamba.ops.few_maps import composed as composed_maps
from nnunet_mamba.ops.few_maps import numba_cpu as maps_kernels
from nnunet_mamba.ops.few_maps import op as maps
from nnunet_mamba.ops.mixer import composed as composed_mixer
from nnunet_mamba.ops.mixer import numba_cpu as mixer_kernels
from nnunet_mamba.ops.mixer import op as mixer
from nnunet_mamba.ops.pooled_norm import composed as composed_norm
from nnunet_mamba.ops.pooled_norm import numba_cpu as norm_kernels
from nnunet_mamba.ops.pooled_norm import op as norm
from nnunet_mamba.ops.scan.backends import VARIABLE

OURS = torch.ops.nnunet_mamba


# Not ``operator(**x._asdict())``: torch.compile of torch 2.6 does not trace the methods of a named tuple.
def _mix(tokens, in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, out_proj, n_parallel, reverse):
    weights = {"in_proj": in_proj, "conv": conv, "conv_bias": conv_bias, "x_proj": x_proj, "dt_proj": dt_proj}
    weights |= {"dt_bias": dt_bias, "A_log": A_log, "D": D, "out_proj": out_proj}
    return mamba_mixer(tokens, **weights, n_parallel=n_parallel, reverse=reverse)


def _scan(u, projected, dt_proj, dt_bias, A_logs, Ds, spatial):
    weights = {"projected": projected, "dt_proj": dt_proj, "dt_bias": dt_bias, "A_logs": A_logs, "Ds": Ds}
    return cross_scan(u, **weights, spatial=spatial)


def _norm(x, weight, bias, groups, window, eps):
    y = pooled_group_norm(x.movedim(-1, 1), weight, bias, groups=groups, window=window, eps=eps)
    return y.movedim(1, -1)


def _convolve(x, weight, bias, dilation):
    return few_map_convolution(x, weight, bias, dilation=dilation)


TITLES = {
    "mamba_mixer": "fused Mamba block",
    "cross_scan": "fused cross scan",
    "pooled_group_norm": "fused group norm",
    "few_map_convolution": "direct convolution of few maps",
}
WITHOUT_SCAN = {"pooled_group_norm", "few_map_convolution"}


@dataclass(frozen=True)
class Fused:
    """An operator, and operands that its kernels take."""

    name: str
    call: Callable
    probe_failure: Callable
    kernels: ModuleType
    definition: Callable
    x: tuple

    @property
    def tensors(self):
        return tuple(one for one in self.x if isinstance(one, torch.Tensor))

    @property
    def options(self):
        return self.x[len(self.tensors) :]


@pytest.fixture(params=list(TITLES))
def fused(request, make_block, make_map, make_norm, make_maps):
    if request.param == "mamba_mixer":
        x = make_block(n_parallel=2, reverse=True)
        return Fused("mamba_mixer", _mix, mixer._probe_failure, mixer_kernels, composed_mixer.forward, x)
    if request.param == "pooled_group_norm":
        return Fused("pooled_group_norm", _norm, norm._probe_failure, norm_kernels, composed_norm.forward, make_norm())
    if request.param == "few_map_convolution":
        return Fused(
            "few_map_convolution", _convolve, maps._probe_failure, maps_kernels, composed_maps.forward, make_maps()
        )
    return Fused(
        "cross_scan", _scan, directions._probe_failure, directions_kernels, composed_directions.forward, make_map()
    )


@pytest.fixture
def fused_calls(fused, note_calls):
    """The kernels that a test calls, after their test runs."""
    fused.probe_failure()
    fused.probe_failure(True)
    return note_calls(fused.kernels)


@pytest.fixture
def _forgetful(fused):
    fused.probe_failure.cache_clear()
    yield
    fused.probe_failure.cache_clear()


def _is_right(result, expected):
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


def _opcheck(name, x, leaves):
    saving, backward = getattr(OURS, f"{name}_saving").default, getattr(OURS, f"{name}_backward").default
    result, states = saving(*x)
    torch.library.opcheck(backward, (torch.ones_like(result), states, *x))
    torch.library.opcheck(getattr(OURS, name).default, tuple(x))
    torch.library.opcheck(saving, tuple(leaves(x)))


@pytest.mark.parametrize(("conv_bias", "reverse"), [(True, False), (False, True)])
def test_the_mixer_is_a_correct_torch_operator(make_block, leaves, conv_bias, reverse):
    x = make_block(conv_bias=conv_bias, n_parallel=2, d_model=3, n=2, length=66, reverse=reverse)
    _opcheck("mamba_mixer", x, leaves)


def test_the_cross_scan_is_a_correct_torch_operator(make_map, leaves):
    _opcheck("cross_scan", make_map((6, 11), d=5, n=2), leaves)


@pytest.mark.parametrize("window", [(2, 2), (1, 2)], ids=str)
def test_the_pooled_norm_is_a_correct_torch_operator(make_norm, leaves, window):
    _opcheck("pooled_group_norm", make_norm(c=6, window=window), leaves)


def test_the_convolution_of_few_maps_is_a_correct_torch_operator(make_maps, leaves):
    _opcheck("few_map_convolution", make_maps(b=1, height=4, width=5), leaves)


def test_states_are_saved_for_gradients_alone(fused, fused_calls, leaves):
    x = leaves(fused.x)
    result = fused.call(*x)
    with torch.no_grad():
        assert torch.equal(fused.call(*x), result)
    assert fused_calls == ["forward_saving", "forward"]


class _Noting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.names.append(str(operator))
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_whoever_looks_on_sees_the_operator(fused, fused_calls, context):
    name, plain = f"nnunet_mamba.{fused.name}.default", fused.call(*fused.x)
    with context():
        with _Noting() as noting:
            noted = fused.call(*fused.x)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            profiled = fused.call(*fused.x)
    assert name in noting.names
    assert f"nnunet_mamba::{fused.name}" in {event.key for event in profiler.key_averages()}
    assert torch.equal(noted, plain)
    assert torch.equal(profiled, plain)
    assert fused_calls == ["forward"] * 3


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_kernels_are_called_directly_where_nobody_looks_on(monkeypatch, fused, fused_calls, context):
    expected = getattr(OURS, fused.name)(*fused.x)
    monkeypatch.setattr(torch._ops.OpOverloadPacket, "__call__", None)
    with context():
        assert torch.equal(fused.call(*fused.x), expected)
    assert fused_calls == ["forward"] * 2


@pytest.mark.usefixtures("fused_calls")
def test_autocast_does_not_reach_the_kernels(fused):
    expected = fused.call(*fused.x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fused.call(*fused.x), expected)


def test_double_precision_is_composed(fused, fused_calls, leaves):
    exact = leaves(fused.x, torch.float64)
    assert torch.equal(fused.call(*exact), fused.definition(exact))
    assert not fused_calls


def test_the_reference_of_the_scan_composes_every_operator(monkeypatch, fused, fused_calls):
    monkeypatch.setenv(VARIABLE, "reference")
    assert torch.equal(fused.call(*fused.x), fused.definition(fused.x))
    assert not fused_calls


def test_a_backend_that_is_no_cpus_decides_nothing_about_what_contains_no_scan(monkeypatch, fused, fused_calls):
    monkeypatch.setenv(VARIABLE, "triton_gpu")
    if fused.name in WITHOUT_SCAN:
        fused.call(*fused.x)
        assert fused_calls == ["forward"]
    else:
        with pytest.raises(RuntimeError, match="NNUNET_MAMBA_SCAN=triton_gpu cannot run a scan"):
            fused.call(*fused.x)


@pytest.mark.usefixtures("_forgetful")
def test_kernels_with_a_wrong_gradient_are_not_used_for_gradients(monkeypatch, fused, leaves, note_calls):
    right = fused.kernels.backward
    monkeypatch.setattr(fused.kernels, "backward", lambda *given: (*right(*given)[:-1], right(*given)[-1] * 1.01))
    calls = note_calls(fused.kernels)
    x = leaves(fused.x)
    assert torch.equal(fused.call(*x), fused.definition(x))
    calls.clear()
    _is_right(fused.call(*fused.x), fused.definition(fused.x))
    assert set(calls) == {"forward"}
    last = fused.x._fields[len(fused.tensors) - 1]
    assert f"relative error 1.0e-02 in {last}" in fused.probe_failure()


@pytest.mark.usefixtures("_forgetful")
def test_kernels_with_a_wrong_result_are_not_used(monkeypatch, fused):
    right = fused.kernels.forward
    monkeypatch.setattr(fused.kernels, "forward", lambda x: right(x) * 1.01)
    assert torch.equal(fused.call(*fused.x), fused.definition(fused.x))
    assert "relative error 1.0e-02 in" in fused.probe_failure(True)


@pytest.mark.usefixtures("_forgetful")
def test_a_prediction_does_not_wait_for_the_gradients_of_a_test_run(monkeypatch, fused, note_calls):
    calls = note_calls(fused.kernels)
    with torch.inference_mode():
        fused.call(*fused.x)
    assert set(calls) == {"forward"}


@pytest.mark.usefixtures("_forgetful")
def test_kernels_that_cannot_be_imported_are_not_used(monkeypatch, fused):
    monkeypatch.setitem(sys.modules, fused.kernels.__name__, None)
    monkeypatch.delattr(sys.modules[fused.kernels.__name__.rpartition(".")[0]], "numba_cpu")
    assert torch.equal(fused.call(*fused.x), fused.definition(fused.x))
    assert "numba_cpu" in fused.probe_failure()


@pytest.mark.usefixtures("_forgetful")
def test_failing_kernels_are_not_used_and_the_log_says_why(monkeypatch, caplog, fused, leaves):
    def forward_saving(x):
        raise OSError("no space left")

    monkeypatch.setattr(fused.kernels, "forward_saving", forward_saving)
    with caplog.at_level("INFO", logger="nnunet_mamba"):
        x = leaves(fused.x)
        assert torch.equal(fused.call(*x), fused.definition(x))
    reason = "its test run failed: OSError: no space left"
    assert fused.probe_failure() == reason
    assert [record.getMessage() for record in caplog.records if reason in record.getMessage()] == [
        f"{TITLES[fused.name]} on cpu: not used, {reason}"
    ]


@pytest.mark.usefixtures("_forgetful")
@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad])
def test_may_first_be_used_where_gradients_are_not_allowed(fused, fused_calls, context):
    fused.probe_failure.cache_clear()
    with context():
        fused.call(*fused.x)
        assert fused_calls[-1] == "forward"
        assert fused.probe_failure(True) is None
        assert fused.probe_failure() is None


def test_compiles_without_a_graph_break_and_with_gradients(fused, fused_calls, leaves):
    call, options = fused.call, fused.options
    expected, compiled = (leaves(fused.x)[: len(fused.tensors)] for _ in range(2))
    result = call(*expected, *options)
    function = torch.compile(lambda *given: call(*given, *options), fullgraph=True, backend="aot_eager")
    again = function(*compiled)
    _is_right(again, result)
    gradients = torch.autograd.grad(again.square().sum(), compiled)
    for gradient, right in zip(gradients, torch.autograd.grad(result.square().sum(), expected), strict=True):
        _is_right(gradient, right)
    # torch 2.6 cannot tell compiling from exporting, and composes.
    is_told_apart = hasattr(torch.compiler, "is_exporting")
    assert fused_calls == ["forward_saving"] * (1 + is_told_apart)


class _Module(torch.nn.Module):
    def __init__(self, call, options):
        super().__init__()
        self.call, self.options = call, options

    def forward(self, *tensors):
        return self.call(*tensors, *self.options)


def test_an_export_is_composed_of_portable_operators(fused):
    program = torch.export.export(_Module(fused.call, fused.options), fused.tensors)
    ours = [str(node.target) for node in program.graph.nodes if "nnunet_mamba" in str(node.target)]
    assert ours == ([] if fused.name in WITHOUT_SCAN else ["nnunet_mamba.selective_scan.default"])
    _is_right(program.module()(*fused.tensors), fused.call(*fused.x))
