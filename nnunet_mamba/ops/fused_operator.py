"""An operator that is fused on a CPU, or a GPU too, and composed of torch's operators wherever that cannot be."""

import logging
import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.operator_registration import Operands, Operator, register
from nnunet_mamba.ops.probe import TEST_RUN_ERRORS, difference, outside_modes, told_failure, waves
from nnunet_mamba.ops.scan.backends import VARIABLE, numba_is_chosen, triton_is_allowed
from nnunet_mamba.ops.transforms import is_recorded, is_unwatched, needs_definition, will_be_differentiated

_logger = logging.getLogger(__name__)


def register_fused(
    operator: Operator[Operands],
    *,
    title: str,
    definition: Callable[[Operands], Tensor],
    refusal: Callable[[Operands], str | None],
    probes: Callable[[], Iterable[Operands]],
    contains_scan: bool = True,
) -> tuple[Callable[[Operands], Tensor], Callable[..., str | None]]:
    """Register an operator with torch whose kernels are used only where they agree with its definition.

    Args:
        operator: the fused operator.
        title: what the log calls it.
        definition: composes the same of torch's operators.
        refusal: says why the kernels cannot take operands that are checked, None if they can.
        probes: makes the operands of the test runs, float32 on the CPU, none of them absent; they are moved.
        contains_scan: whether the choice of the scan's backend holds for it too; "reference" means torch's operators
            for every operator.

    Returns:
        A function that computes operands that are checked, fused or composed. A function that says, from test runs
        once for each device, why the kernels are not used, None if they are; given True, it looks at results alone,
        all that a prediction needs, and spares it the half second in which torch prepares gradients.
    """
    run = register(operator)

    @cache
    @outside_modes
    def probe_failure(is_forward_alone: bool = False, device: str = "cpu") -> str | None:
        look = _forward_run if is_forward_alone else _test_run
        for operands in probes():
            if wrong := look(operator, definition, operands, device):
                _logger.info("%s on %s: not used, %s", title, device, wrong)
                return wrong
        return None

    def kernels_work(is_forward_alone: bool, device: torch.device) -> bool:
        if not _kernels_are_chosen(device, contains_scan):
            return False
        if device.type == "cpu":
            return (probe_failure(True) if is_forward_alone else probe_failure()) is None
        return probe_failure(is_forward_alone, str(device)) is None

    # What torch.compiler.assume_constant_result does; its import of the compiler would cost every process a second.
    kernels_work._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def call(operands: Operands) -> Tensor:
        is_direct, device = is_unwatched(*operands) and not will_be_differentiated(*operands), operands[0].device
        is_composed = is_recorded() or refusal(operands) or needs_definition(*operands)
        if is_composed or not kernels_work(is_direct, device):
            # Autocast would reach the products and undo their float32.
            with without_autocast(device.type):
                return definition(operands)
        if is_direct:
            # torch's way to the kernels takes longer than they do for the map of a single image.
            return operator.computed(operands)
        return run(*operands)

    return call, probe_failure


def _kernels_are_chosen(device: torch.device, contains_scan: bool) -> bool:
    """Return whether the environment and the scan's backend leave kernels of a device to a fused operator."""
    if device.type != "cpu":
        return triton_is_allowed(device)
    return numba_is_chosen() if contains_scan else os.environ.get(VARIABLE) != "reference"


def _test_run(
    operator: Operator[Operands], definition: Callable[[Operands], Tensor], operands: Operands, device: str
) -> str | None:
    """Return how the kernels' result or gradients differ from the definition's in float64, or None."""
    names = operator.tensor_names
    tensors, options = operands[: len(names)], operands[len(names) :]
    gradient = waves(*operator.new_result(operands).shape, low=-1, high=1).float()
    try:
        given = _on(device, operator, operands)
        kernels = operator.load(given)
        result, *saved = kernels.forward_saving(given)
        results = (result, *kernels.backward(gradient.to(device), given, *saved))
    except TEST_RUN_ERRORS as error:
        return told_failure(error)
    leaves: list[Any] = [x.double().requires_grad_() for x in tensors]
    exact = definition(operator.make([*leaves, *options]))
    expected = (exact, *torch.autograd.grad(exact, leaves, gradient.double()))
    return difference((operator.result, *names), results, expected)


def _forward_run(
    operator: Operator[Operands], definition: Callable[[Operands], Tensor], operands: Operands, device: str
) -> str | None:
    """Return how the kernels' result differs from the definition's in float64, or None."""
    names = operator.tensor_names
    try:
        given = _on(device, operator, operands)
        result = operator.load(given).forward(given)
    except TEST_RUN_ERRORS as error:
        return told_failure(error)
    tensors: list[Any] = [x.double() for x in operands[: len(names)]]
    exact = definition(operator.make([*tensors, *operands[len(names) :]]))
    return difference((operator.result,), (result,), (exact,))


def _on(device: str, operator: Operator[Operands], operands: Operands) -> Operands:
    return operator.make([one.to(device) if isinstance(one, Tensor) else one for one in operands])
