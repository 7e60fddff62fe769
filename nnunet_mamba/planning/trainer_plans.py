"""All of a trainer's plans: its configurations planned one after the other, and written into one file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.planner import PlannedConfiguration, plan_configuration
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import merged_plans, write_plans
from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer
from nnunet_mamba.planning.step_process import measure_step
from nnunet_mamba.system.nnunet_folders import dataset_number

# Is told how many configurations are planned, and what is measured next.
OnProgress = Callable[[int, str], None]


@dataclass(frozen=True, kw_only=True)
class TrainerPlans:
    """What was planned for a trainer.

    Args:
        trainer: to train with them.
        budget: that they are made for.
        configurations: planned ones.
        file: where they were written; None if they were not.
    """

    trainer: ResolvedTrainer
    budget: Budget
    configurations: tuple[PlannedConfiguration, ...]
    file: Path | None

    def training_commands(self) -> list[str]:
        """Return nnU-Net's command that trains the first fold of each configuration with these plans."""
        dataset = self.trainer.base.folder.name
        number = dataset_number(dataset)
        plans = f"-tr {self.trainer.name} -p {self.trainer.plans_name}"
        device = "" if self.budget.device == "cuda" else " -device cpu"
        return [
            f"nnUNetv2_train {dataset if number is None else number} {planned.name} 0 {plans}{device}"
            for planned in self.configurations
        ]


def plan_trainer(
    trainer: ResolvedTrainer,
    configurations: Sequence[str],
    *,
    budget: Budget,
    request: PlanningRequest,
    writes: bool,
    on_progress: OnProgress = lambda n_planned, text: None,
) -> TrainerPlans:
    """Plan configurations for a trainer, and write its plans beside nnU-Net's.

    Args:
        trainer: to plan for.
        configurations: names of those that suit it.
        budget: what a training may take, and where.
        request: what the user has chosen.
        writes: False for a dry run.
        on_progress: called before each measurement.

    Raises:
        ValueError: no patch is small enough.
        TrainingStepError: the network cannot be trained with these plans.
    """
    planned: list[PlannedConfiguration] = []
    for name in configurations:
        planned.append(
            plan_configuration(
                trainer,
                name,
                budget=budget,
                request=request,
                measure=measure_step,
                on_step=lambda text: on_progress(len(planned), text),
            )
        )
    file = _write(trainer, planned, budget) if writes else None
    return TrainerPlans(trainer=trainer, budget=budget, configurations=tuple(planned), file=file)


def _write(trainer: ResolvedTrainer, planned: Sequence[PlannedConfiguration], budget: Budget) -> Path:
    contents = {one.name: one.content for one in planned}
    origins = {one.name: _origin(one, trainer, budget) for one in planned}
    return write_plans(trainer.base.folder, merged_plans(trainer.base, trainer.plans_name, contents, origins))


def _origin(planned: PlannedConfiguration, trainer: ResolvedTrainer, budget: Budget) -> dict[str, str | int | None]:
    """Return the entry of the file that tells where a configuration's numbers come from."""
    return {
        "trainer": trainer.name,
        "device": budget.device,
        "limited_by": planned.reason,
        "memory_budget": budget.size,
        "memory_estimated": planned.memory.estimate,
        "memory_measured": planned.memory.measured,
    }
