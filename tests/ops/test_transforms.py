"""``torch.func`` and forward mode: right, or refused in words."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from nnunet_mamba import create_network
from nnunet_mamba.ops import cross_scan, mamba_mixer, pooled_group_norm, selective_scan
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.transforms import is_unwatched

SMALL = {"dims": (16, 32), "depths": (1, 1), "depths_decoder": (1, 1)}


def _normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture(params=["selective_scan", "mamba_mixer", "cross_scan", "pooled_group_norm"])
def call(request):
    """An operator as a function of its tokens and one of its weights, and values of these."""
    if request.param == "selective_scan":
        B, C = _normal(2, 3, 9), _normal(2, 3, 9) + 1
        delta = _normal(2, 4, 9).sigmoid()
        return lambda u, A: selective_scan(u, delta, -A.exp(), B, C), (_normal(2, 4, 9), _normal(4, 3))
    if request.param == "mamba_mixer":
        rest = {
            "in_proj": _normal(12, 3),
            "conv": _normal(6, 1, 4),
            "conv_bias": _normal(6),
            "x_proj": _normal(2 + 6, 6) / 3,
            "dt_proj": _normal(6, 2),
            "dt_bias": _normal(6),
            "D": _normal(6),
            "out_proj": _normal(3, 6),
        }
        return lambda tokens, A: mamba_mixer(tokens, A_log=A, n_parallel=2, **rest), (_normal(2, 9, 6), _normal(6, 3))
    if request.param == "pooled_group_norm":
        rest = {"bias": _normal(6), "groups": 2, "window": (2, 1)}

        # The tokens last, as the operator has them.
        def norm(x, weight):
            return pooled_group_norm(x.movedim(-1, 1), weight, **rest).movedim(1, -1)

        return norm, (_normal(2, 4, 3, 6), _normal(6))
    rest = {
        "projected": _normal(2, 12, 4, 2 + 6),
        "dt_proj": _normal(4, 5, 2),
        "dt_bias": _normal(4, 5),
        "Ds": _normal(20),
    }
    return lambda u, A: cross_scan(u, A_logs=A, spatial=(3, 4), **rest), (_normal(2, 12, 5), _normal(20, 3))


def _close(a, b):
    torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-4 * float(b.abs().max()))


def _backward(function, x, A, weights):
    leaves = [x.clone().requires_grad_(), A.clone().requires_grad_()]
    return torch.autograd.grad((function(*leaves) * weights).sum(), leaves)


def test_forward_mode_agrees_with_backward_mode(call):
    function, (x, A) = call
    vx, vA = _normal(*x.shape) / 2, _normal(*A.shape) / 2
    y, tangent = torch.func.jvp(function, (x, A), (vx, vA))
    _close(y, function(x, A))
    weights = _normal(*y.shape)
    dx, dA = _backward(function, x, A, weights)
    _close((tangent * weights).sum(), (dx * vx).sum() + (dA * vA).sum())
    with forward_ad.dual_level():
        dual = function(forward_ad.make_dual(x, vx), forward_ad.make_dual(A, vA))
        _close(forward_ad.unpack_dual(dual).tangent, tangent)


def test_the_forward_derivative_of_a_scan_along_its_tokens_is_the_scan_of_the_direction(make_operands):
    x = make_operands(without=("z",))
    v = x.u.flip(2)
    _, tangent = torch.func.jvp(lambda u: selective_scan(*x._replace(u=u)), (x.u,), (v,))
    _close(tangent, selective_scan(*x._replace(u=v)))


def test_gradients_and_jacobians_by_transforms_are_those_of_backward(call):
    function, (x, A) = call
    weights = _normal(*function(x, A).shape)
    expected = _backward(function, x, A, weights)
    got = torch.func.grad(lambda x, A: (function(x, A) * weights).sum(), argnums=(0, 1))(x, A)
    for a, b in zip(got, expected, strict=True):
        _close(a, b)
    rows = torch.func.jacrev(lambda A: (function(x, A) * weights).flatten(1).sum(1))(A)
    _close(rows.sum(0), expected[1])
    _close(torch.func.jacfwd(lambda A: (function(x, A) * weights).flatten(1).sum(1))(A), rows)


def test_second_derivatives_by_transforms_are_those_of_finite_differences(call):
    function, (x, A) = call

    def slope(scale):
        return torch.func.grad(lambda s: function(x, A * s).square().mean())(scale)

    one, step = torch.ones(()), 1e-2
    difference = (slope(one + step) - slope(one - step)) / (2 * step)
    for twice in (
        torch.func.hessian(lambda s: function(x, A * s).square().mean()),
        torch.func.grad(torch.func.grad(lambda s: function(x, A * s).square().mean())),
        torch.func.jacfwd(torch.func.jacfwd(lambda s: function(x, A * s).square().mean())),
    ):
        torch.testing.assert_close(twice(one), difference, rtol=2e-2, atol=1e-3)


def test_vmap_equals_a_loop_whatever_is_mapped(call):
    function, (x, A) = call
    xs, As = torch.stack([x, x.flip(1), 2 * x], dim=1), torch.stack([A, A / 2, A - 1])
    _close(torch.func.vmap(function, in_dims=(1, None))(xs, A), torch.stack([function(q, A) for q in xs.unbind(1)]))
    _close(torch.func.vmap(function, in_dims=(None, 0))(x, As), torch.stack([function(x, q) for q in As]))
    both = torch.func.vmap(function, in_dims=(1, 0))(xs, As)
    _close(both, torch.stack([function(*pair) for pair in zip(xs.unbind(1), As, strict=True)]))


def test_gradients_of_every_case_by_itself(call):
    function, (x, A) = call

    def loss(A, case):
        return function(case.expand(x.shape), A).square().sum()

    got = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(A, x)
    for gradient, case in zip(got, x, strict=True):
        leaf = A.clone().requires_grad_()
        _close(gradient, torch.autograd.grad(loss(leaf, case), leaf)[0])


@pytest.mark.parametrize("name", ["ultralight_vm_unet", "vm_unet"])
def test_networks_have_forward_derivatives(name):
    torch.manual_seed(0)
    network = create_network(name, 3, 1, **(SMALL if name == "vm_unet" else {})).eval()
    x, v = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 32, 32)
    logits, tangent = torch.func.jvp(network, (x,), (v,))
    (gradient,) = torch.autograd.grad(network(x.requires_grad_()).square().sum(), x)
    _close((2 * logits * tangent).sum().detach(), (gradient * v).sum())


@pytest.mark.parametrize("operator", ["selective_scan", "selective_scan_saving"])
def test_raw_operators_refuse_forward_mode(make_operands, operator):
    x = make_operands()
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match=f"^{operator} has no forward-mode"):
        getattr(torch.ops.nnunet_mamba, operator)(*x._replace(A=forward_ad.make_dual(x.A, x.A)))


def test_raw_operators_that_save_nothing_have_gradients(call):
    function, (x, A) = call
    weights = _normal(*function(x, A).shape)
    expected = _backward(function, x, A, weights)
    with torch.no_grad():
        recorded = []

        class Mode(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
                if operator.namespace == "nnunet_mamba":
                    recorded.append((operator, args))
                return operator(*args, **(kwargs or {}))

        with Mode():
            function(x, A)
    ((operator, args),) = recorded
    leaves = [arg.clone().requires_grad_() if isinstance(arg, torch.Tensor) else arg for arg in args]
    gradients = torch.autograd.grad((operator(*leaves) * weights).sum(), [leaves[0]])
    _close(gradients[0], expected[0])


def test_the_reference_is_differentiable_at_will(make_operands):
    x = make_operands(length=5)

    def loss(u):
        return reference.forward(x._replace(u=u)).square().sum()

    exact = torch.autograd.functional.hessian(loss, x.u)
    _close(torch.func.hessian(loss)(x.u), exact)


class _Subclass(torch.Tensor):
    pass


def test_a_call_is_unwatched_only_where_no_python_code_sees_what_torch_dispatches():
    x, weight = torch.ones(2), torch.nn.Parameter(torch.ones(2))
    assert is_unwatched(x, weight, 3, None, (1, 2))
    assert not is_unwatched(x, torch.ones(2).as_subclass(_Subclass))
    seen = []

    def look(x):
        seen.append(is_unwatched(x))
        return x * 2

    torch.func.vmap(look)(x)
    torch.func.grad(lambda x: look(x).sum())(x)
    torch.jit.trace(look, x, check_trace=False)
    torch.compile(look, backend="eager")(x)
    for mode in (TorchDispatchMode(), TorchFunctionMode(), profile(activities=[ProfilerActivity.CPU])):
        with mode:
            seen.append(is_unwatched(x))
    assert seen
    assert not any(seen)
    assert is_unwatched(x)
