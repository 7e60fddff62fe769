"""Plans made for a trainer's own network: what they are called, and how to get them."""

from collections.abc import Mapping
from typing import Any

from nnunet_mamba.system.nnunet_folders import dataset_number
from nnunet_mamba.trainer_name import TrainerName

# Our plans files tell under this key where their numbers come from; nnU-Net ignores it.
MARK = "nnunet_mamba"


def plans_name(trainer: str, base: str) -> str:
    """Return the name of a trainer's plans, such as nnUNetUltraLightVMPlans; without the budget and the seed."""
    of_trainer = str(TrainerName.parse(trainer).without_budget_and_seed()).removeprefix("nnUNetTrainer")
    return f"nnUNet{of_trainer}{base.removeprefix('nnUNet').removesuffix('Plans')}Plans"


def large_batch_notice(
    trainer: str, plans: Mapping[str, Any], configuration: str, *, batch_size: int, largest: int | None
) -> str | None:
    """Return a line about a batch that is larger than the recipe's, and the way to plans that fit; None if it fits.

    Args:
        trainer: its name, with or without suffixes.
        plans: that it is to train with.
        configuration: of the plans.
        batch_size: of the plans.
        largest: batch of the recipe; None if it sets no limit.
    """
    if largest is None or batch_size <= largest:
        return None
    name, number = str(plans["plans_name"]), dataset_number(str(plans["dataset_name"]))
    # All seeds of a trainer share its plans. A name without one stays as it was given.
    if (named := TrainerName.parse(trainer)).seed is not None:
        trainer = str(named.with_seed(None))
    mark = plans.get(MARK)
    base = str(mark["base"]) if isinstance(mark, Mapping) and "base" in mark else name
    dataset = str(plans["dataset_name"] if number is None else number)
    configurations, planned = plans["configurations"], configuration
    # Only those that inherit from none are planned anew.
    while parent := configurations[planned].get("inherits_from"):
        planned = parent
    command = ["nnunet-mamba", "plan", dataset, "--trainers", trainer, "--configuration", planned]
    if base != "nnUNetPlans":
        command += ["--base", base]
    # A batch that somebody has set for a configuration which inherits stays what it is.
    trained = "" if planned == configuration or "batch_size" not in configurations[configuration] else f" {planned}"
    return (
        f"{name} has batches of {batch_size} for {configuration}, and the recipe of {trainer}, after its paper, has "
        f"{largest} at most. So an epoch takes about {batch_size / largest:.1f} times as long, and the network gets no "
        f"better. Make plans that fit: {' '.join(command)}; then train{trained} with -p {plans_name(trainer, base)}"
    )
