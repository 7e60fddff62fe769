"""One configuration of a trainer's plans: batch and patch size from the measured memory of its own training step."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nnunet_mamba.planning.batch_size import SMALLEST_BATCH, BatchMemory, given_batch, largest_batch
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.patches import Patch, format_size, rounded_patch, smaller_patches, with_patch
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer
from nnunet_mamba.planning.step_process import StepTooLarge
from nnunet_mamba.planning.training_step import StepMemory, StepRequest

# nnU-Net's precaution against learning the data by heart: no batch holds more of all voxels.
LARGEST_SHARE = 0.05

Reason = Literal["memory", "5 % rule", "recipe", "by hand"]
Measure = Callable[[StepRequest, Budget], StepMemory | StepTooLarge]
OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PlannedConfiguration:
    """One configuration of a trainer's plans.

    Args:
        name: of the configuration.
        content: as it goes into the plans.
        memory: of its step.
        reason: what keeps the batch from being larger.
        warnings: sentences for the user.
    """

    name: str
    content: dict[str, Any]
    memory: BatchMemory
    reason: Reason
    warnings: tuple[str, ...]


class _Steps:
    """The training steps of one configuration, each measured once; the arguments are ``plan_configuration``'s."""

    def __init__(
        self, trainer: ResolvedTrainer, configuration: str, *, budget: Budget, measure: Measure, on_step: OnStep
    ) -> None:
        self._trainer, self._configuration = trainer, configuration
        self._budget, self._measure, self._on_step = budget, measure, on_step
        self._peaks: dict[tuple[Patch, int], int | None] = {}
        self._refusal = ""

    def peak(self, patch_size: Patch, batch_size: int) -> int | None:
        """Return the bytes of a step, None if there was not enough memory for it."""
        if (patch_size, batch_size) not in self._peaks:
            self._peaks[patch_size, batch_size] = self._measured(patch_size, batch_size)
        return self._peaks[patch_size, batch_size]

    def fits(self, patch_size: Patch, batch_size: int) -> bool:
        """Return whether a step takes no more than the budget."""
        return _fits(self.peak(patch_size, batch_size), self._budget)

    def _measured(self, patch_size: Patch, batch_size: int) -> int | None:
        trainer, base = self._trainer, self._trainer.base
        self._on_step(f"{trainer.name} {self._configuration}: {batch_size} × {format_size(patch_size)}")
        begin = base.configurations[self._configuration]
        changed = {**with_patch(begin, patch_size), "batch_size": batch_size}
        request = StepRequest(
            trainer=trainer.name,
            plans={**base.plans, "configurations": {**base.configurations, self._configuration: changed}},
            configuration=self._configuration,
            dataset_json=base.dataset_json,
        )
        memory = self._measure(request, self._budget)
        if isinstance(memory, StepMemory):
            self._refusal = ""
            return memory.peak
        self._refusal = next(iter(memory.words.splitlines()), "")
        return None

    @property
    def quoted_refusal(self) -> str:
        """What the last measured step said, for an error or a warning; empty if it fitted or said nothing."""
        return f" (the last step said: {self._refusal})" if self._refusal else ""


def plan_configuration(
    trainer: ResolvedTrainer,
    configuration: str,
    *,
    budget: Budget,
    request: PlanningRequest,
    measure: Measure,
    on_step: OnStep = lambda text: None,
) -> PlannedConfiguration:
    """Choose batch and patch size of a configuration.

    Args:
        trainer: to plan for.
        configuration: of the trainer's base plans, one that suits its network.
        budget: what a training may take, and where.
        request: what the user has chosen.
        measure: returns the memory of a step.
        on_step: called with what is measured next.

    Raises:
        ValueError: no patch is small enough.
        TrainingStepError: the network cannot be trained with these plans.
    """
    begin = trainer.base.configurations[configuration]
    steps = _Steps(trainer, configuration, budget=budget, measure=measure, on_step=on_step)
    # With a batch by hand, nothing else changes for it to fit.
    shrinks = request.batch_size is None
    patch_size = request.patch_size or _fitting_patch(trainer, configuration, steps, shrinks=shrinks)
    ceiling, reason = _ceiling(trainer, configuration, patch_size)
    memory = None
    if request.batch_size is None:
        memory = largest_batch(lambda batch: steps.peak(patch_size, batch), budget=budget.size, ceiling=ceiling)
    # A patch by hand is kept where not even the smallest batch fits.
    memory = memory or given_batch(lambda batch: steps.peak(patch_size, batch), request.batch_size or SMALLEST_BATCH)
    if request.batch_size:
        reason = "by hand"
    elif memory.batch_size < ceiling or not _fits(memory.measured, budget):
        reason = "memory"
    return PlannedConfiguration(
        name=configuration,
        content={**with_patch(begin, patch_size), "batch_size": memory.batch_size},
        memory=memory,
        reason=reason,
        warnings=(
            *(_patch_warnings(begin, trainer.divisor(configuration), patch_size) if request.patch_size else ()),
            *_batch_warnings(memory, budget, five_percent(trainer.base, configuration, patch_size), steps),
        ),
    )


def five_percent(base: BasePlans, configuration: str, patch_size: Patch) -> int:
    """Return the most patches in a batch under nnU-Net's rule, 2 at least."""
    # The planner counts the voxels of all volumes, for slices too.
    volumes = configuration
    if "3d_fullres" in base.configurations and configuration != "3d_lowres":
        volumes = "3d_fullres"
    n_voxels: float = (
        math.prod(base.configurations[volumes]["median_image_size_in_voxels"]) * base.dataset_json["numTraining"]
    )
    return max(SMALLEST_BATCH, round(n_voxels * LARGEST_SHARE / math.prod(patch_size)))


def _ceiling(trainer: ResolvedTrainer, configuration: str, patch_size: Patch) -> tuple[int, Reason]:
    """Return the largest batch that rule and recipe allow, whatever the memory, and which of the two it is."""
    rule = five_percent(trainer.base, configuration, patch_size)
    of_recipe = trainer.recipe.largest_batch_size
    if of_recipe is not None and of_recipe < rule:
        return max(SMALLEST_BATCH, of_recipe), "recipe"
    return rule, "5 % rule"


def _fitting_patch(trainer: ResolvedTrainer, configuration: str, steps: _Steps, *, shrinks: bool) -> Patch:
    """Return the base plans' patch, or the largest smaller patch that fits with a batch of two."""
    begin, divisor = trainer.base.configurations[configuration], trainer.divisor(configuration)
    patch_size = rounded_patch(begin, divisor)

    def fits(patch_size: Patch) -> bool:
        return steps.fits(patch_size, SMALLEST_BATCH)

    if not shrinks or fits(patch_size):
        return patch_size
    smaller = list(smaller_patches(begin, patch_size, None if trainer.preset.has_stages_of_plans else divisor))
    found = bisect_left(smaller, True, key=fits)
    if found == len(smaller):
        smallest = smaller[-1] if smaller else patch_size
        raise ValueError(
            f"no patch from {format_size(patch_size)} down to {format_size(smallest)} fits"
            f"{steps.quoted_refusal}; allow more `memory`, or choose a smaller network"
        )
    return smaller[found]


def _fits(taken: int | None, budget: Budget) -> bool:
    return taken is not None and taken <= budget.size


def _patch_warnings(begin: Mapping[str, Any], divisor: Patch, patch_size: Patch) -> Iterator[str]:
    """Yield what is odd about a patch that was set by hand."""
    taken = format_size(patch_size)
    median = [round(size) for size in begin["median_image_size_in_voxels"]]
    if any(size > longest for size, longest in zip(patch_size, median, strict=True)):
        yield f"a patch of {taken} is larger than the median image, {format_size(median)}: the rest is padding"
    padded = tuple(-(-size // multiple) * multiple for size, multiple in zip(patch_size, divisor, strict=True))
    if padded != patch_size:
        yield f"the network pads a patch of {taken} to {format_size(padded)}, which costs as much; take that"


def _batch_warnings(memory: BatchMemory, budget: Budget, rule: int, steps: _Steps) -> Iterator[str]:
    """Yield what speaks against a batch that is taken all the same."""
    if memory.batch_size > rule:
        yield f"a batch of {memory.batch_size} holds more than 5 % of all training voxels, nnU-Net would take {rule}"
    if not _fits(memory.measured, budget):
        taken = f"{memory.measured / GIB:.2f} GiB" if memory.measured else f"more than there is{steps.quoted_refusal}"
        yield f"a batch of {memory.batch_size} takes {taken}, the budget is {budget.size / GIB:.2f} GiB"
