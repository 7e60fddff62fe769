"""Plans for one trainer: batch and patch size from the measured memory of its own training step."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nnunet_mamba.planning.batch_size import SMALLEST_BATCH, BatchMemory, given_batch, largest_batch
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.patches import Patch, network_divisor, rounded_patch, smaller_patches, with_patch
from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.training_step import StepMemory, StepRequest, StepTooLarge, trainer_class

CONFIGURATIONS = ("2d", "3d_lowres", "3d_fullres")
# nnU-Net's precaution against learning the data by heart: no batch holds more of all voxels.
LARGEST_SHARE = 0.05

Reason = Literal["memory", "5 % rule", "recipe", "by hand"]
Measure = Callable[[StepRequest, Budget], StepMemory | StepTooLarge]
OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user sets by hand; None is for the planner to choose."""

    batch_size: int | None = None
    patch_size: Patch | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedConfiguration:
    """One configuration of a trainer's plans.

    Args:
        name: of the configuration.
        content: as it goes into the plans.
        memory: of its step.
        reason: what the batch is not larger for.
        warnings: sentences for the user.
    """

    name: str
    content: dict[str, Any]
    memory: BatchMemory
    reason: Reason
    warnings: tuple[str, ...]


def suitable_configurations(base: BasePlans, trainer: str, asked: Sequence[str], wishes: Wishes) -> list[str]:
    """Return the configurations to plan for a trainer.

    Args:
        base: the plans to begin with.
        trainer: its name.
        asked: names; empty for all that the network and the patch size by hand suit.
        wishes: of the user.

    Raises:
        ValueError: one that was asked for is not in the plans or does not suit.
    """
    preset, in_plans = trainer_class(trainer).preset, base.plans["configurations"]
    suitable = []
    for name in asked or CONFIGURATIONS:
        if name not in in_plans or name not in CONFIGURATIONS:
            if asked:
                there = ", ".join(known for known in CONFIGURATIONS if known in in_plans)
                raise ValueError(f"--configuration {name}: {base.name} can be planned anew for {there}; pass one")
            continue
        dims = len(in_plans[name]["patch_size"])
        if dims in preset.spatial_dims and len(wishes.patch_size or in_plans[name]["patch_size"]) == dims:
            suitable.append(name)
        elif asked:
            networks = " and ".join(f"{n}D" for n in preset.spatial_dims)
            given = f", --patch-size has {len(wishes.patch_size)} numbers" if wishes.patch_size else ""
            raise ValueError(
                f"--configuration {name} has {dims} axes: {trainer} trains {networks}{given}; leave it out"
            )
    return suitable


def nothing_to_plan(base: BasePlans, trainers: Sequence[str], asked: Sequence[str], wishes: Wishes) -> str:
    """Return why there is no configuration to plan for any trainer, and what to change.

    Args:
        base: the plans to begin with.
        trainers: their names.
        asked: names of configurations; empty for all.
        wishes: of the user.
    """
    axes = {
        name: len(base.plans["configurations"][name]["patch_size"])
        for name in asked or CONFIGURATIONS
        if name in base.plans["configurations"]
    }
    if not axes:
        there = ", ".join(base.plans["configurations"])
        return f"nothing to plan: {base.name} has none of {', '.join(CONFIGURATIONS)}, but {there or 'nothing'}"
    if wishes.patch_size and len(wishes.patch_size) not in axes.values():
        counts = " and ".join(f"{name} has {n}" for name, n in axes.items())
        numbers = " or ".join(str(n) for n in sorted(set(axes.values())))
        return (
            f"nothing to plan: --patch-size {by(wishes.patch_size)} has {len(wishes.patch_size)} axes, and {counts}; "
            f"give {numbers} numbers, or leave it out"
        )
    dims = sorted({n for trainer in trainers for n in trainer_class(trainer).preset.spatial_dims})
    networks = " and ".join(f"{n}D" for n in dims)
    counts = " and ".join(f"{name} has {n} axes" for name, n in axes.items())
    return f"nothing to plan: {', '.join(trainers)} trains {networks}, and {counts}; choose another --trainer"


class _Steps:
    """The training steps of one configuration, each measured once; the other arguments are ``plan_configuration``'s."""

    def __init__(
        self, base: BasePlans, trainer: str, configuration: str, *, budget: Budget, measure: Measure, on_step: OnStep
    ) -> None:
        self._base, self._trainer, self._configuration = base, trainer, configuration
        self._budget, self._measure, self._on_step = budget, measure, on_step
        self._peaks: dict[tuple[Patch, int], int | None] = {}
        self.refusal = ""

    def peak(self, patch_size: Patch, batch_size: int) -> int | None:
        """Return the bytes of a step, None for more than there are; then ``refusal`` is what it said."""
        if (patch_size, batch_size) not in self._peaks:
            self._peaks[patch_size, batch_size] = self._measured(patch_size, batch_size)
        return self._peaks[patch_size, batch_size]

    def _measured(self, patch_size: Patch, batch_size: int) -> int | None:
        self._on_step(f"{self._trainer} {self._configuration}: {batch_size} × {by(patch_size)}")
        configurations = self._base.plans["configurations"]
        changed = {**with_patch(configurations[self._configuration], patch_size), "batch_size": batch_size}
        plans = {**self._base.plans, "configurations": {**configurations, self._configuration: changed}}
        request = StepRequest(
            trainer=self._trainer,
            plans=plans,
            configuration=self._configuration,
            dataset_json=self._base.dataset_json,
        )
        memory = self._measure(request, self._budget)
        if isinstance(memory, StepMemory):
            self.refusal = ""
            return memory.peak
        self.refusal = next(iter(memory.words.splitlines()), "")
        return None

    @property
    def quoted_refusal(self) -> str:
        """What the step that was measured last said, for an error or a warning; empty if it fitted or said nothing."""
        return f" (the last step said: {self.refusal})" if self.refusal else ""


def plan_configuration(
    base: BasePlans,
    trainer: str,
    configuration: str,
    *,
    budget: Budget,
    wishes: Wishes,
    measure: Measure,
    on_step: OnStep = lambda text: None,
) -> PlannedConfiguration:
    """Choose batch and patch size of a configuration.

    Args:
        base: the plans to begin with.
        trainer: its name.
        configuration: one of ``suitable_configurations``.
        budget: what a training may take, and where.
        wishes: what is not to be chosen.
        measure: tells the memory of a step.
        on_step: is told what is going to be measured.

    Raises:
        ValueError: no patch is small enough.
        StepFailedError: the network cannot be trained so.
    """
    begin = base.plans["configurations"][configuration]
    steps = _Steps(base, trainer, configuration, budget=budget, measure=measure, on_step=on_step)

    def fits(patch_size: Patch) -> bool:
        # What is set by hand is shown with its warnings; nothing else changes for it to fit.
        return wishes.batch_size is not None or _fits(steps.peak(patch_size, SMALLEST_BATCH), budget.size)

    patch_size = wishes.patch_size or _fitting_patch(trainer, begin, fits, steps)
    ceiling, reason = _ceiling(base, trainer, configuration, patch_size)
    memory = None
    if wishes.batch_size is None:
        memory = largest_batch(lambda batch: steps.peak(patch_size, batch), budget=budget.size, ceiling=ceiling)
    # A patch by hand is kept where not even the smallest batch fits.
    memory = memory or given_batch(lambda batch: steps.peak(patch_size, batch), wishes.batch_size or SMALLEST_BATCH)
    if wishes.batch_size:
        reason = "by hand"
    elif memory.batch_size < ceiling or not _fits(memory.measured, budget.size):
        reason = "memory"
    return PlannedConfiguration(
        name=configuration,
        content={**with_patch(begin, patch_size), "batch_size": memory.batch_size},
        memory=memory,
        reason=reason,
        warnings=(
            *_patch_warnings(begin, network_divisor(trainer_class(trainer).preset, begin), wishes.patch_size),
            *_warnings(memory, budget, five_percent(base, configuration, patch_size), steps),
        ),
    )


def five_percent(base: BasePlans, configuration: str, patch_size: Patch) -> int:
    """Return the most patches in a batch under nnU-Net's rule, 2 at least."""
    configurations = base.plans["configurations"]
    # The planner counts the voxels of all volumes, for slices too.
    volumes = configuration if configuration == "3d_lowres" or "3d_fullres" not in configurations else "3d_fullres"
    n_voxels: float = (
        math.prod(configurations[volumes]["median_image_size_in_voxels"]) * base.dataset_json["numTraining"]
    )
    return max(SMALLEST_BATCH, round(n_voxels * LARGEST_SHARE / math.prod(patch_size)))


def by(sizes: Sequence[int]) -> str:
    """Return sizes as people write them, "96×128"."""
    return "×".join(map(str, sizes))


def _ceiling(base: BasePlans, trainer: str, configuration: str, patch_size: Patch) -> tuple[int, Reason]:
    rule = five_percent(base, configuration, patch_size)
    recipe = trainer_class(trainer).recipe.largest_batch_size
    if recipe is not None and recipe < rule:
        return max(SMALLEST_BATCH, recipe), "recipe"
    return rule, "5 % rule"


def _fitting_patch(trainer: str, begin: Mapping[str, Any], fits: Callable[[Patch], bool], steps: _Steps) -> Patch:
    """Return the base plans' patch, or the largest smaller one that fits."""
    preset = trainer_class(trainer).preset
    divisor = network_divisor(preset, begin)
    patch_size = rounded_patch(begin, divisor)
    if fits(patch_size):
        return patch_size
    fixed_divisor = None if "strides" in preset.from_plans else divisor
    smaller = list(smaller_patches(begin, patch_size, fixed_divisor))
    found = bisect_left(smaller, True, key=fits)
    if found == len(smaller):
        raise ValueError(
            f"{trainer}: no patch from {by(patch_size)} down to {by(smaller[-1] if smaller else patch_size)} fits"
            f"{steps.quoted_refusal}; pass more --memory, or choose a smaller network"
        )
    return smaller[found]


def _fits(taken: int | None, size: int) -> bool:
    return taken is not None and taken <= size


def _patch_warnings(begin: Mapping[str, Any], divisor: Patch, patch_size: Patch | None) -> list[str]:
    """Return what is odd about a patch that was set by hand."""
    if patch_size is None:
        return []
    found = []
    median = [round(size) for size in begin["median_image_size_in_voxels"]]
    if any(size > longest for size, longest in zip(patch_size, median, strict=True)):
        found.append(f"a patch of {by(patch_size)} is larger than the median image, {by(median)}: the rest is padding")
    padded = tuple(-(-size // multiple) * multiple for size, multiple in zip(patch_size, divisor, strict=True))
    if padded != patch_size:
        found.append(f"the network pads a patch of {by(patch_size)} to {by(padded)}, which costs as much; take that")
    return found


def _warnings(memory: BatchMemory, budget: Budget, rule: int, steps: _Steps) -> list[str]:
    found = []
    if memory.batch_size > rule:
        found.append(
            f"a batch of {memory.batch_size} holds more than 5 % of all training voxels, nnU-Net would take {rule}"
        )
    if not _fits(memory.measured, budget.size):
        taken = f"{memory.measured / GIB:.2f} GiB" if memory.measured else f"more than there is{steps.quoted_refusal}"
        found.append(f"a batch of {memory.batch_size} takes {taken}, the budget is {budget.size / GIB:.2f} GiB")
    return found
