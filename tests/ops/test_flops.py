import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from nnunet_mamba.ops import cross_scan, mamba_mixer, pooled_group_norm, selective_scan
from nnunet_mamba.ops.directions import composed as composed_directions
from nnunet_mamba.ops.directions.operands import CrossScanOperands
from nnunet_mamba.ops.flops import flop_counter, register_formulas
from nnunet_mamba.ops.mixer import composed as composed_mixer
from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.scan.backends import VARIABLE
from nnunet_mamba.ops.warm import warm

OURS = torch.ops.nnunet_mamba
B, LENGTH, D_MODEL, D_INNER, RANK, N = 2, 20, 6, 12, 3, 4


def numbers(*shape):
    return torch.full(shape, 0.1, requires_grad=True)


@pytest.fixture(autouse=True)
def _warm():
    """Let the kernels' test runs, which happen once in a process, not be counted."""
    warm()


@pytest.fixture
def mixer_operands():
    def make(n_parallel=1, reverse=False):
        return MambaOperands(
            tokens=numbers(B, LENGTH, n_parallel * D_MODEL),
            in_proj=numbers(2 * D_INNER, D_MODEL),
            conv=numbers(D_INNER, 1, 4),
            conv_bias=numbers(D_INNER),
            x_proj=numbers(RANK + 2 * N, D_INNER),
            dt_proj=numbers(D_INNER, RANK),
            dt_bias=numbers(D_INNER),
            A_log=numbers(D_INNER, N),
            D=numbers(D_INNER),
            out_proj=numbers(D_MODEL, D_INNER),
            n_parallel=n_parallel,
            reverse=reverse,
        )

    return make


@pytest.fixture
def directions_operands():
    return CrossScanOperands(
        u=numbers(B, LENGTH, D_INNER),
        projected=numbers(B, LENGTH, 4, RANK + 2 * N),
        dt_proj=numbers(4, D_INNER, RANK),
        dt_bias=numbers(4, D_INNER),
        A_logs=numbers(4 * D_INNER, N),
        Ds=numbers(4 * D_INNER),
        spatial=(4, 5),
    )


def counts(run, *, counter=None):
    """What ``run`` costs, by operator."""
    with counter or flop_counter() as mode:
        run()
    return mode.get_flop_counts().get("Global", {})


def fused_mixer(x):
    return mamba_mixer(**x._asdict())


def fused_directions(x):
    return cross_scan(**x._asdict())


@pytest.mark.parametrize(
    ("without", "per_token"), [((), 2), (("z",), 1), (("D",), 1), (("D", "z"), 0)], ids=lambda value: str(value)
)
def test_scan_costs_nine_per_state_and_one_for_each_of_skip_and_gate(make_operands, without, per_token):
    x = make_operands(b=2, d=6, length=9, n=4, groups=2, without=without)
    assert counts(lambda: selective_scan(*x)) == {OURS.selective_scan: 2 * 6 * 9 * (9 * 4 + per_token)}


def test_scan_costs_the_same_on_every_backend_and_where_no_numbers_are(make_operands, monkeypatch):
    x = make_operands()
    expected = counts(lambda: selective_scan(*x))
    assert counts(lambda: selective_scan(*(t if t is True else t.to("meta") for t in x))) == expected
    monkeypatch.setenv(VARIABLE, "reference")
    assert counts(lambda: selective_scan(*x)) == expected


def test_gradients_of_a_scan_cost_two_scans(make_operands):
    x = make_operands()
    leaves = [tensor.requires_grad_() for tensor in x.tensors]
    forward = counts(lambda: selective_scan(*x))[OURS.selective_scan_saving]
    y = selective_scan(*x)
    backward = counts(lambda: torch.autograd.grad(y.sum(), leaves))
    assert backward == {OURS.selective_scan_backward: 2 * forward}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n_parallel", [1, 4])
def test_fused_mixer_costs_what_its_definition_costs(mixer_operands, n_parallel, reverse):
    x = mixer_operands(n_parallel, reverse)
    with torch.no_grad():
        fused = counts(lambda: fused_mixer(x))
        defined = counts(lambda: composed_mixer.forward(x))
    assert set(fused) == {OURS.mamba_mixer}
    assert OURS.selective_scan in defined
    assert sum(fused.values()) == sum(defined.values())


def test_fused_directions_cost_what_their_definition_costs(directions_operands):
    x = directions_operands
    with torch.no_grad():
        fused = counts(lambda: fused_directions(x))
        defined = counts(lambda: composed_directions.forward(x))
    assert set(fused) == {OURS.cross_scan}
    assert OURS.selective_scan in defined
    assert sum(fused.values()) == sum(defined.values())


def test_training_on_fused_operators_costs_what_it_costs_on_their_definitions(mixer_operands, directions_operands):
    cases = (
        (fused_mixer, composed_mixer.forward, mixer_operands(2), "mamba_mixer"),
        (fused_directions, composed_directions.forward, directions_operands, "cross_scan"),
    )
    for fused, defined, x, name in cases:
        of_fused = counts(lambda run=fused, x=x: run(x).sum().backward())
        of_defined = counts(lambda run=defined, x=x: run(x).sum().backward())
        assert set(of_fused) == {getattr(OURS, f"{name}_saving"), getattr(OURS, f"{name}_backward")}
        assert sum(of_fused.values()) == sum(of_defined.values()), name


def test_a_norm_with_its_pooling_costs_nothing_as_in_torch():
    x, weight, bias = numbers(B, 8, 4, 6), numbers(8), numbers(8)
    assert counts(lambda: pooled_group_norm(x, weight, bias, groups=4, window=(2, 2)).sum().backward()) == {}
    assert counts(lambda: functional.max_pool2d(functional.group_norm(x, 4, weight, bias), 2).sum().backward()) == {}


def test_torchs_own_counter_knows_the_operators_once_they_are_registered(make_operands):
    register_formulas()
    x = make_operands()
    assert counts(lambda: selective_scan(*x), counter=FlopCounterMode(display=False)) == counts(
        lambda: selective_scan(*x)
    )


@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("convolution", [functional.conv2d, functional.conv_transpose2d])
def test_gradients_of_a_convolution_cost_two_convolutions_whatever_its_groups(convolution, groups):
    x, weight, bias = numbers(2, 6, 9, 8), numbers(6, 6 // groups, 3, 3), numbers(6)
    y = convolution(x, weight, bias, groups=groups, stride=2)
    (forward,) = counts(lambda: convolution(x, weight, bias, groups=groups, stride=2)).values()

    def backward(*leaves):
        return lambda: torch.autograd.grad(y.sum(), leaves, retain_graph=True)

    assert counts(backward(x, weight, bias)) == {torch.ops.aten.convolution_backward: 2 * forward}
    assert counts(backward(weight)) == {torch.ops.aten.convolution_backward: forward}
    if groups == 1:
        assert counts(backward(x, weight, bias), counter=FlopCounterMode(display=False)) == counts(
            backward(x, weight, bias)
        )


def test_attention_costs_its_two_products_also_where_torch_has_fused_it():
    query, key, value = numbers(2, 3, 9, 4), numbers(2, 3, 5, 4), numbers(2, 3, 5, 4)
    forward = 2 * (2 * 3) * 9 * 5 * (4 + 4)

    def attend(*operands):
        return functional.scaled_dot_product_attention(*operands)

    def total(run):
        return sum(counts(run).values())

    y = attend(query, key, value)
    on_meta = [x.detach().to("meta") for x in (query, key, value)]
    assert total(lambda: attend(query, key, value)) == total(lambda: attend(*on_meta)) == forward
    assert total(lambda: torch.autograd.grad(y.sum(), (query, key, value))) == 2 * forward
