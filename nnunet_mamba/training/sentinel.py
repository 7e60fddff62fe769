"""Notice a training that leaves the finite numbers, before it spoils the weights, and say where it began.

nnU-Net trains on when a loss is NaN: on a CPU the next step makes every weight NaN, on a GPU its scaler skips step
after step in silence. Here the step is skipped, the layer and the cases are named, and after a few in a row it ends.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_mamba.system.memory_errors import is_lack_of_memory
from nnunet_mamba.training.layer_search import find_first_non_finite, floating_tensors
from nnunet_mamba.training.step_diagnosis import (
    Diagnosis,
    Suspicion,
    causes_and_reasons,
    diagnoses_of_all,
    in_any_process,
    is_distributed,
)

# A scaler begins at 2¹⁶ and halves with every overflow, which is no failure until the scale is used up.
MOST_OVERFLOWS = 24


class NonFiniteStepError(ArithmeticError):
    """A loss or a gradient of one training step is not finite; nothing has been changed by the step.

    Args:
        text: what is not finite.
        suspicion: that it began in this process's batch.
        in_optimizer: whether the optimiser was about to change the weights.
    """

    def __init__(self, text: str, suspicion: Suspicion = Suspicion.SHARED, *, in_optimizer: bool = False) -> None:
        super().__init__(text)
        self.suspicion = suspicion
        self.in_optimizer = in_optimizer


class TrainingStoppedError(RuntimeError):
    """Too many training steps in a row were not finite."""


@dataclass(frozen=True, kw_only=True)
class SkippedStep:
    """A training step that did not happen.

    Args:
        cause: what is not finite, in short.
        reason: what is not finite, where it began and in which cases.
        n_in_a_row: skipped steps since the last one that happened.
        most_in_a_row: how many of them are allowed.
    """

    cause: str
    reason: str
    n_in_a_row: int
    most_in_a_row: int

    @property
    def is_one_too_many(self) -> bool:
        """Whether training must end."""
        return self.n_in_a_row > self.most_in_a_row

    def __str__(self) -> str:
        return f"{self.reason}\nThis step is skipped ({self.n_in_a_row} in a row, at most {self.most_in_a_row})."


class Sentinel:
    """Watches the steps of one training.

    Args:
        network: that is trained, without wrappers of torch.compile or of several processes.
        most_in_a_row: skipped steps in a row that are allowed.
    """

    def __init__(self, network: nn.Module, *, most_in_a_row: int) -> None:
        self.network = network
        self.most_in_a_row = most_in_a_row
        self.n_skipped = 0
        self._n_overflows = 0
        self._scale: float | None = None
        self._is_searching = False
        self._statistics: dict[str, Tensor] = {}
        self.begin()

    def begin(self) -> None:
        """Take the network's state as sound; call this after loading weights."""
        self._keep_statistics()

    def watch(self, loss: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Raise NonFiniteStepError from the training loss before the backward pass, and from a step before it is done.

        Args:
            loss: called with the network's outputs.
            optimizer: of the network.
        """
        loss.register_forward_hook(self._check_loss)
        optimizer.register_step_pre_hook(self._check_gradients)

    def passed(self, scaler: torch.amp.GradScaler | None = None) -> None:
        """Note that a step happened.

        Args:
            scaler: of a training in fp16. It skips steps whose gradients overflow, and then halves its scale.

        Raises:
            NonFiniteStepError: the scaler has skipped so many steps in a row that no scale is small enough.
        """
        if scaler is not None and self._has_overflowed(scaler):
            self._n_overflows += 1
            if self._n_overflows > MOST_OVERFLOWS:
                raise NonFiniteStepError(
                    f"gradients overflowed in {self._n_overflows} steps in a row, down to a loss scale of {self._scale}"
                )
            return
        self.n_skipped = self._n_overflows = 0
        self._keep_statistics()

    def skip(
        self, error: NonFiniteStepError, batch: Mapping[str, Any], rerun: Callable[[nn.Module], object]
    ) -> SkippedStep:
        """Put the network back to where it was before a step, and find out what went wrong in it.

        All processes of a training must call this; all get the same answer.

        Args:
            error: of the step, without its traceback, which would keep the step's activations in memory.
            batch: of nnU-Net's data loader: "data", (b, c, *spatial), and "keys", their case identifiers.
            rerun: runs the step's forward and backward pass again with the network it is given, without changing it.
        """
        self.n_skipped += 1
        self._restore_statistics()
        cause, reason = causes_and_reasons(diagnoses_of_all(self._own_diagnosis(error, batch, rerun)))
        return SkippedStep(cause=cause, reason=reason, n_in_a_row=self.n_skipped, most_in_a_row=self.most_in_a_row)

    def _own_diagnosis(
        self, error: NonFiniteStepError, batch: Mapping[str, Any], rerun: Callable[[nn.Module], object]
    ) -> Diagnosis:
        suspicion, where = error.suspicion, None
        if foreign := _cases_with_foreign_values(batch):
            suspicion = Suspicion.IMAGES
            where = (
                f"The images themselves hold values that are not finite, in {', '.join(foreign)}: preprocess them "
                "again, or look for NaN in their files."
            )
        elif self.n_skipped == 1:
            where = self._where_it_began(rerun)
        cases = tuple(sorted({str(key) for key in batch.get("keys", ())}))
        return Diagnosis(cause=str(error), where=where, cases=cases, suspicion=suspicion)

    def _where_it_began(self, rerun: Callable[[nn.Module], object]) -> str | None:
        """Return a sentence on the first thing in the network that is not finite."""
        spoilt = [name for name, parameter in self.network.named_parameters() if not torch.isfinite(parameter).all()]
        if spoilt:
            return (
                f"{len(spoilt)} weights are not finite already, {spoilt[0]} among them: the checkpoint that training "
                "began with is spoilt."
            )
        if is_distributed():
            # The loss and some layers would wait for processes that do not come this far.
            return None
        self._free_memory()
        self._is_searching = True
        try:
            found = find_first_non_finite(self.network, rerun)
        except (RuntimeError, MemoryError) as error:
            if not is_lack_of_memory(error, of_workspace=True):
                raise
            return "Memory was too short to look for the layer where it began."
        finally:
            self._is_searching = False
            self._restore_statistics()
            self._free_memory()
        return None if found is None else f"{found}."

    def _free_memory(self) -> None:
        """Free what the passes of a failed step have left in memory."""
        self.network.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()

    def _check_loss(self, loss: nn.Module, arguments: tuple[Any, ...], value: Any) -> None:
        del loss
        if self._is_searching or not self.network.training or not torch.is_grad_enabled():
            return
        is_finite = bool(torch.isfinite(value).all())
        if not in_any_process(not is_finite, value.device):
            return
        if is_finite:
            raise NonFiniteStepError("the loss is not finite in another process", Suspicion.ELSEWHERE)
        has_finite_output = all(bool(torch.isfinite(tensor).all()) for tensor in floating_tensors(arguments[0]))
        suspicion = Suspicion.SHARED if has_finite_output else Suspicion.OUTPUT
        raise NonFiniteStepError(f"the loss is {_as_text(value)}", suspicion)

    def _check_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if gradients and not bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients))).all()):
            raise NonFiniteStepError("gradients are not finite", in_optimizer=True)

    def _has_overflowed(self, scaler: torch.amp.GradScaler) -> bool:
        before, self._scale = self._scale, float(scaler.get_scale())
        return before is not None and self._scale < before

    def _keep_statistics(self) -> None:
        """Remember the running statistics: a forward pass changes them before its loss is known."""
        self._statistics = {
            name: buffer.clone() for name, buffer in self.network.named_buffers() if buffer.is_floating_point()
        }

    def _restore_statistics(self) -> None:
        buffers = dict(self.network.named_buffers())
        for name, value in self._statistics.items():
            buffers[name].copy_(value)


def _cases_with_foreign_values(batch: Mapping[str, Any]) -> Sequence[str]:
    data = batch["data"]
    is_finite = torch.isfinite(data.flatten(1)).all(1).tolist()
    keys = batch.get("keys", range(len(is_finite)))
    return sorted({str(key) for key, finite in zip(keys, is_finite, strict=False) if not finite})


def _as_text(value: Tensor) -> str:
    return str(next(number for number in value.detach().float().flatten().tolist() if not math.isfinite(number)))
