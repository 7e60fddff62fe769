"""The plans of each trainer, by the memory of its own training step, and how long such a step takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nnunet_mamba.planning.memory import GIB, Budget, resolve_budget
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import read_base_plans
from nnunet_mamba.planning.resolved_trainer import ResolvedTrainer, resolve_trainers
from nnunet_mamba.planning.step_process import StepTooLarge, TrainingStepError, measure_step
from nnunet_mamba.planning.trainer_plans import plan_trainer
from nnunet_mamba.planning.training_step import StepRequest
from nnunet_mamba.reproduction.faulty_trainings import in_one_line
from nnunet_mamba.reproduction.nnunet_planning import BASE_PLANS, CONFIGURATION
from nnunet_mamba.reproduction.planned_rows import PlannedTraining
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.results.plans import inherited
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.nnunet_folders import nnunet_folder
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.plans_names import MARK, plans_name
from nnunet_mamba.training.recipes import Recipe

# Of nnU-Net, unless the trainer's name tells.
_ITERATIONS = 250


@dataclass(frozen=True, kw_only=True)
class OwnPlans:
    """What a trainer's plans decide.

    Args:
        batch_size: images of a batch.
        patch_size: (y, x).
        recipe: that the trainer trains by.
        limited_by: what keeps the batch from being larger.
        whole_patch: the patch size of nnU-Net's own plans, (y, x).
        made_for: device and memory that they were made for, where that is not what was asked for; "" elsewhere.
        configuration: all of its entries, which decide the stages of some networks.
    """

    batch_size: int
    patch_size: tuple[int, ...]
    recipe: Recipe
    limited_by: str
    whole_patch: tuple[int, ...] = ()
    made_for: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def make_own_plans(
    trainings: Sequence[PlannedTraining], request: ReproductionRequest, on_step: Callable[[str], None]
) -> tuple[dict[PlannedTraining, OwnPlans], dict[PlannedTraining, str]]:
    """Plan for each trainer that has no plans yet, and return all plans, and why trainers have none.

    Plans for another device or memory than asked for are made anew, unless a training with them has begun.

    Args:
        trainings: on one data set, which nnU-Net has planned.
        request: of the run.
        on_step: is told what is measured next.

    Raises:
        ValueError: the plans of nnU-Net are damaged, or there is no such device.
        FileNotFoundError: there are none.
    """
    plans: dict[PlannedTraining, OwnPlans] = {}
    failed: dict[PlannedTraining, str] = {}
    budget = resolve_budget(request.device, request.memory)
    for training in trainings:
        try:
            trainer = _resolved(training)
            if not _has_plans(trainer) or (_made_for_other(trainer, budget, request) and not _has_begun(training)):
                plan_trainer(
                    trainer,
                    [CONFIGURATION],
                    budget=budget,
                    request=PlanningRequest(configurations=[CONFIGURATION]),
                    writes=True,
                    on_progress=lambda _, text: on_step(text),
                )
            plans[training] = replace(_read(trainer), made_for=_made_for_other(trainer, budget, request))
        except (TrainingStepError, ValueError, NotImplementedError) as error:
            failed[training] = f"It cannot be planned: {in_one_line(error).rstrip('.')}."
    return plans, failed


def seconds_of_training(training: PlannedTraining, request: ReproductionRequest) -> float:
    """Return about how long a training from one seed takes: its steps alone, measured in a process of its own.

    Args:
        training: with plans of its own.
        request: of the run.

    Raises:
        ValueError: there are no such plans.
        TrainingStepError: a step fails, or does not fit into the memory.
    """
    trainer = _resolved(training)
    plans = read_json_object(trainer.base.folder / f"{trainer.plans_name}.json")
    step = StepRequest(
        trainer=training.trainer,
        plans=plans,
        configuration=CONFIGURATION,
        dataset_json=trainer.base.dataset_json,
    )
    measured = measure_step(step, resolve_budget(request.device, request.memory))
    if isinstance(measured, StepTooLarge):
        raise TrainingStepError(f"a step of {training.trainer} does not fit into the memory")
    name = TrainerName.parse(training.trainer)
    epochs = name.epochs or trainer.recipe.num_epochs
    return epochs * (name.iterations or _ITERATIONS) * measured.seconds


def _resolved(training: PlannedTraining) -> ResolvedTrainer:
    base = read_base_plans(training.data.folder_name, BASE_PLANS)
    return resolve_trainers([training.trainer], base)[0]


def _has_plans(trainer: ResolvedTrainer) -> bool:
    file = trainer.base.folder / f"{trainer.plans_name}.json"
    return file.is_file() and CONFIGURATION in read_json_object(file).get(MARK, {}).get("configurations", {})


def _made_for_other(trainer: ResolvedTrainer, budget: Budget, request: ReproductionRequest) -> str:
    """Return which device and memory plans were made for, if that is not what is asked for; "" if it is."""
    mark = read_json_object(trainer.base.folder / f"{trainer.plans_name}.json")[MARK]["configurations"][CONFIGURATION]
    device, size = mark.get("device"), mark.get("memory_budget")
    # Without a number it is what was free at that moment.
    if device == budget.device and (request.memory is None or size == budget.size):
        return ""
    return f"{device}" if size is None else f"{device} and {size / GIB:.2f} GiB"


def _has_begun(training: PlannedTraining) -> bool:
    """Return whether there is a training with a trainer's plans, of any budget and seed."""
    results = nnunet_folder("nnUNet_results") / training.data.folder_name
    return any(results.glob(f"*__{plans_name(training.trainer, BASE_PLANS)}__{CONFIGURATION}"))


def _read(trainer: ResolvedTrainer) -> OwnPlans:
    content = read_json_object(trainer.base.folder / f"{trainer.plans_name}.json")
    configuration = inherited(content["configurations"], CONFIGURATION)
    return OwnPlans(
        batch_size=configuration["batch_size"],
        patch_size=tuple(configuration["patch_size"]),
        recipe=trainer.recipe,
        limited_by=str(content[MARK]["configurations"][CONFIGURATION]["limited_by"]),
        whole_patch=tuple(trainer.base.configurations[CONFIGURATION]["patch_size"]),
        configuration=configuration,
    )
