"""The scan as one torch operator: torch.compile and torch.export see a single node, never the choice of backend."""

from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.operator_registration import Implementation, Operator, register
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.backends import ScanImplementation, choose_backend, own_saver
from nnunet_mamba.ops.scan.operands import (
    SavedKinds,
    ScanOperands,
    check_grouped,
    check_operands,
    check_saved,
    grouped_alike,
    new_saved,
    nothing_saved,
    saved_states,
)
from nnunet_mamba.ops.transforms import needs_definition


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the selective scan of a Mamba block; names, order and meaning are those of mamba_ssm's selective_scan_fn.

    With step = softplus(delta + delta_bias): h_t = exp(step_t A) h_{t-1} + step_t B_t u_t and
    y_t = (C_t h_t + D u_t) SiLU(z_t).

    Args:
        u: input tokens, (b, d, l).
        delta: step size, (b, d, l).
        A: state decay, (d, n), real; negative for a stable state.
        B: input matrix, (b, n, l), or (b, g, n, l) with group i serving channels i d/g to (i + 1) d/g, or constant in
            time, (d, n).
        C: output matrix, with the shapes of ``B`` but its own number of groups.
        D: skip weight, (d,).
        z: gate, (b, d, l).
        delta_bias: added to ``delta``, (d,).
        delta_softplus: pass the step size through softplus, which is linear above 20.

    Returns:
        y, (b, d, l), contiguous, in the dtype of ``u``; the state and sums are float32, or float64 for float64.

    Raises:
        TypeError: an operand is complex, not floating-point, or mixes float64 with narrower types.
        ValueError: shapes do not fit together, devices differ, or ``$NNUNET_MAMBA_SCAN`` names no backend.
        RuntimeError: the backend that ``$NNUNET_MAMBA_SCAN`` names cannot run here; the text says why.

    Source:
        Gu and Dao 2023, arXiv:2312.00752.
    """
    check_operands(ScanOperands(u, delta, A, B, C, D, z, delta_bias, delta_softplus))
    B, C = grouped_alike(B, C, u.shape[0], u.shape[2])
    if needs_definition(u, delta, A, B, C, D, z, delta_bias):
        with without_autocast(u.device.type):
            return reference.forward(ScanOperands(u, delta, A, B, C, D, z, delta_bias, delta_softplus))
    return _scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus)


class _SavingStates:
    """A backend that saves states and nothing else, as the operator calls it."""

    def __init__(self, scan: ScanImplementation) -> None:
        self._scan = scan
        self.forward = scan.forward

    def forward_saving(self, x: ScanOperands) -> tuple[Tensor, ...]:
        ungated = nothing_saved(x)
        return *self._scan.forward_saving(x), x.u.new_empty(ungated.shape, dtype=ungated.dtype)

    def backward(
        self, dy: Tensor, x: ScanOperands, states: Tensor | None, ungated: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        return self._scan.backward(dy, x, states)


def _load(operands: ScanOperands) -> Implementation[ScanOperands]:
    backend = choose_backend(operands.u)
    scan = backend.load()
    return scan if backend.saves_its_own else _SavingStates(scan)


def _saved_kinds(x: ScanOperands) -> SavedKinds:
    own = own_saver(x.u)
    return saved_states(x) if own is None else own.saved_kinds(x)


def _check_saved(dy: Tensor, states: Tensor | None, ungated: Tensor | None, x: ScanOperands) -> None:
    check_saved(dy, states, ungated, x, _saved_kinds(x))


_scan = register(
    Operator(
        name="selective_scan",
        schema="Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? delta_bias, "
        "bool delta_softplus",
        result="y",
        make=ScanOperands._make,
        check=check_grouped,
        check_saved=_check_saved,
        new_saved=lambda x: new_saved(x, _saved_kinds(x)),
        load=_load,
        device="default",
        with_batch=(0, 1, 3, 4, 6),  # u, delta, B, C and z
        saved=("states", "ungated"),
        needs_saved=False,
    )
)
