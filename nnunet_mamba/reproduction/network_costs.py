"""What the networks of rows cost: those that are trained, counted as the papers count."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nnunet_mamba.networks.catalogue import create_network, missing_packages
from nnunet_mamba.networks.complexity import Complexity, measure_complexity
from nnunet_mamba.networks.plan_arguments import trained_arguments
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.published_results import OurNetwork
from nnunet_mamba.reproduction.own_plans import OwnPlans
from nnunet_mamba.reproduction.planned_rows import PlannedRow, PlannedTraining
from nnunet_mamba.reproduction.row_trainers import network_of
from nnunet_mamba.trainer_name import TrainerName

# What the papers count for.
_CLASSES = 1
_CHANNELS = 3
_SIZE = 256
# What networks raise for plans that do not suit them, and packages for what their versions lack.
_UNCOUNTABLE = (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)


def network_costs(
    rows: Iterable[PlannedRow], plans: Mapping[PlannedTraining, OwnPlans], note: Callable[[str], None]
) -> list[Complexity | None]:
    """Return what the network of each row costs; None where there is none, or where it cannot be built here.

    Args:
        rows: of a table, those that could be run and the others.
        plans: of the trainings; they decide the stages of some networks.
        note: is told why a network could not be counted.
    """
    counts: dict[tuple[str, str], Complexity | None] = {}
    found: list[Complexity | None] = []
    for row in rows:
        network = network_of(row.row)
        if network is None or missing_packages(PRESETS[network.preset]):
            found.append(None)
            continue
        configuration: Mapping[str, Any] | None = None
        if PRESETS[network.preset].planned(2):
            own = next((plans[training] for training in row.trainings if training in plans), None)
            if own is None:
                found.append(None)
                continue
            configuration = own.configuration
        key = (network.shown, repr(configuration))
        if key not in counts:
            try:
                counts[key] = counted(network, _SIZE, configuration=configuration, trainer=row.trainer)
            # A number less is no reason to lose those of days of training.
            except _UNCOUNTABLE as error:
                note(f"{row.row.method} is not counted: {str(error).partition(chr(10))[0]}")
                counts[key] = None
        found.append(counts[key])
    return found


def counted(
    network: OurNetwork, size: int, *, configuration: Mapping[str, Any] | None = None, trainer: str = ""
) -> Complexity:
    """Count a network as the papers do, for a photograph and one label.

    Args:
        network: of a row.
        size: side of the image.
        configuration: of the plans that it is trained with, where they decide its stages; None elsewhere.
        trainer: that trains it with them.

    Raises:
        ValueError: the plans do not suit the network.
    """
    import torch

    planned: Mapping[str, Any] = {}
    if configuration is not None:
        planned = trained_arguments(PRESETS[network.preset], configuration, TrainerName.parse(trainer).variant)
    with torch.device("meta"):
        built = create_network(network.preset, _CHANNELS, _CLASSES, **{**planned, **network.overrides})
    return measure_complexity(built, (_CHANNELS, size, size))
