import pytest
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan.backends import VARIABLE

SCAN = torch.ops.nnunet_mamba.selective_scan.default
SCAN_SAVING = torch.ops.nnunet_mamba.selective_scan_saving.default
SCAN_BACKWARD = torch.ops.nnunet_mamba.selective_scan_backward.default


@pytest.mark.parametrize(
    ("backend", "without"),
    [("reference", ()), ("numba_cpu", ()), ("numba_cpu", ("D", "z", "delta_bias"))],
    ids=["reference", "numba_cpu", "plain"],
)
def test_is_a_correct_torch_operator(monkeypatch, make_operands, backend, without):
    monkeypatch.setenv(VARIABLE, backend)
    operands = make_operands(d=4, length=70, n=2, groups=2, without=without)
    operands = operands._replace(u=operands.u.transpose(0, 1).contiguous().transpose(0, 1))
    _, *saved = SCAN_SAVING(*operands)
    for given in ([None, None], saved):
        torch.library.opcheck(SCAN_BACKWARD, (torch.ones_like(operands.u), *given, *operands))
    tensors = [None if x is None else x.requires_grad_() for x in operands.tensors]
    torch.library.opcheck(SCAN, (*tensors, True))
    torch.library.opcheck(SCAN_SAVING, (*tensors, True))


def test_result_is_contiguous_and_in_the_dtype_of_u(make_operands):
    x = make_operands(d=6, length=20)
    y = selective_scan(*x._replace(u=x.u.bfloat16().transpose(0, 2).contiguous().transpose(0, 2)))
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous()


def test_gradients_have_the_dtype_of_their_operands(make_operands):
    x = make_operands(length=20)
    dtypes = [torch.float16, torch.float32] * 4
    tensors = [tensor.to(dtype).requires_grad_() for tensor, dtype in zip(x.tensors, dtypes, strict=True)]
    selective_scan(*tensors, True).sum().backward()
    assert [tensor.grad.dtype for tensor in tensors] == [tensor.dtype for tensor in tensors]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape_of_B", "shape_of_C"), [((6, 4), (2, 2, 4, 70)), ((2, 3, 4, 70), (2, 2, 4, 70))], ids=str
)
def test_gradients_of_repeated_matrices_are_rounded_once(make_operands, dtype, shape_of_B, shape_of_C):
    x = make_operands(d=6, length=70, dtype=dtype)
    matrices = [torch.randn(shape, generator=torch.Generator().manual_seed(0)) for shape in (shape_of_B, shape_of_C)]

    def gradients(*given):
        leaves = [matrix.detach().requires_grad_() for matrix in given]
        y = selective_scan(x.u, x.delta, x.A, *leaves, x.D, x.z, x.delta_bias, True)
        return torch.autograd.grad(y, leaves, x.u)

    narrow = [matrix.to(dtype) for matrix in matrices]
    for rounded, wide in zip(gradients(*narrow), gradients(*(one.float() for one in narrow)), strict=True):
        assert torch.equal(rounded, wide.to(dtype))


def test_no_gradient_for_operands_that_need_none(make_operands):
    x = make_operands(length=20)
    x.delta.requires_grad_()
    selective_scan(*x).sum().backward()
    assert x.delta.grad.abs().max() > 0
    assert x.u.grad is None


@pytest.mark.parametrize("backend", ["reference", "numba_cpu"])
def test_autocast_does_not_reach_the_state(monkeypatch, make_operands, backend):
    monkeypatch.setenv(VARIABLE, backend)
    x = make_operands(length=50, dtype=torch.float32)
    x.u.requires_grad_()
    plain = selective_scan(*x)
    (gradient,) = torch.autograd.grad(plain.sum(), x.u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = selective_scan(*x)
        (gradient_inside,) = torch.autograd.grad(inside.sum(), x.u)
    assert torch.equal(inside, plain)
    assert torch.equal(gradient_inside, gradient)


@pytest.mark.parametrize("backend", ["reference", "numba_cpu"])
def test_compiles_without_a_graph_break(monkeypatch, make_operands, backend):
    monkeypatch.setenv(VARIABLE, backend)
    x = make_operands(d=4, length=20)
    tensors = [x.u, x.delta, x.A, x.B[:, 0], x.A * 0.5, x.D, x.z, x.delta_bias]
    expected, compiled = ([tensor.detach().clone().requires_grad_() for tensor in tensors] for _ in range(2))
    y = selective_scan(*expected, True)
    y.square().sum().backward()
    function = torch.compile(lambda *given: selective_scan(*given, True), fullgraph=True, backend="aot_eager")
    z = function(*compiled)
    z.square().sum().backward()
    assert torch.equal(y, z)
    for operand, right in zip(compiled, expected, strict=True):
        torch.testing.assert_close(operand.grad, right.grad, rtol=1e-5, atol=1e-5)


class _Scan(torch.nn.Module):
    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return selective_scan(*tensors, delta_softplus=True)


def test_exports_as_one_node_for_any_length(make_operands):
    x = make_operands(length=20)
    length = torch.export.Dim("length", min=2, max=1000)
    dynamic = [{tensor.dim() - 1: length} if tensor.dim() > 2 else None for tensor in x.tensors]
    program = torch.export.export(_Scan(), x.tensors, dynamic_shapes=(tuple(dynamic),))
    assert [node.target for node in program.graph.nodes if node.op == "call_function"] == [SCAN]
    longer = make_operands(length=33)
    assert torch.equal(program.module()(*longer.tensors), selective_scan(*longer))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"A": torch.zeros(5, 4, dtype=torch.complex64)}, TypeError, "A is torch.complex64; only real"),
        ({"u": torch.zeros(2, 5, 9, dtype=torch.int64)}, TypeError, "u is torch.int64, expected a floating-point"),
        ({"D": torch.zeros(5, dtype=torch.float64)}, TypeError, r"D is torch.float64 but u .*D.to\(torch.float32\)"),
        ({"z": torch.zeros(2, 5, 9, device="meta")}, ValueError, r"z is on meta but u is on cpu; move it"),
        ({"u": torch.zeros(5, 9)}, ValueError, r"u has shape \(5, 9\), expected \(b, d, l\)"),
        ({"A": torch.zeros(5)}, ValueError, r"A has shape \(5,\), expected \(d, n\) with d = 5"),
        ({"A": torch.zeros(4, 4)}, ValueError, r"A has shape \(4, 4\), expected \(d, n\) = \(5, 4\)"),
        (
            {"delta": torch.zeros(2, 5, 8)},
            ValueError,
            r"delta has shape \(2, 5, 8\), expected \(b, d, l\) = \(2, 5, 9\)",
        ),
        ({"B": torch.zeros(2, 3, 9)}, ValueError, r"B has shape \(2, 3, 9\), expected \(b, n, l\) = \(2, 4, 9\)"),
        ({"C": torch.zeros(2, 1, 4, 8)}, ValueError, r"C has shape .*expected \(b, g, n, l\) = \(2, 1, 4, 9\)"),
        ({"B": torch.zeros(2, 2, 4, 9)}, ValueError, "B has 2 groups .*does not divide the 5 channels"),
        ({"B": torch.zeros(2, 0, 4, 9)}, ValueError, "B has 0 groups"),
        ({"C": torch.zeros(4, 5)}, ValueError, r"C has shape \(4, 5\), expected \(d, n\) = \(5, 4\)"),
        ({"C": torch.zeros(4)}, ValueError, r"C has shape \(4,\), expected \(b, n, l\), \(b, g, n, l\) or"),
        ({"D": torch.zeros(4)}, ValueError, r"D has shape \(4,\), expected \(d,\) = \(5,\)"),
        ({"z": torch.zeros(2, 9, 5)}, ValueError, r"z has shape \(2, 9, 5\), expected \(b, d, l\) = \(2, 5, 9\)"),
        ({"delta_bias": torch.zeros(1, 5)}, ValueError, r"delta_bias has shape \(1, 5\), expected \(d,\) = \(5,\)"),
    ],
)
def test_refuses_operands_that_do_not_fit(make_operands, changes, error, message):
    with pytest.raises(error, match=message):
        selective_scan(*make_operands()._replace(**changes))
