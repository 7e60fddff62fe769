"""A trainer to plan for, looked up once and handed down through planning."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.planning.patches import Patch, network_divisor
from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.trainer_lookup import trainer_class
from nnunet_mamba.presets import Preset
from nnunet_mamba.training.plans_names import plans_name
from nnunet_mamba.training.preset_trainer import PresetTrainer
from nnunet_mamba.training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class ResolvedTrainer:
    """A trainer with the plans that its own plans begin with.

    Args:
        name: as the user gave it, with its suffixes.
        trainer: its class.
        base: nnU-Net's plans of the data set.
    """

    name: str
    trainer: type[PresetTrainer]
    base: BasePlans

    @property
    def preset(self) -> Preset:
        """The network that it trains."""
        return self.trainer.preset

    @property
    def recipe(self) -> Recipe:
        """How it trains."""
        return self.trainer.recipe

    @property
    def plans_name(self) -> str:
        """What its plans are called."""
        return plans_name(self.name, self.base.name)

    @property
    def dimensions(self) -> str:
        """The dimensions of the network as people write them, "2D and 3D"."""
        return " and ".join(f"{dims}D" for dims in self.preset.spatial_dims)

    def divisor(self, configuration: str) -> Patch:
        """Return the numbers that the network pads each axis to a multiple of."""
        return network_divisor(self.preset, self.base.configurations[configuration], self.trainer.variant_of_name)


def resolve_trainers(names: Sequence[str], base: BasePlans) -> list[ResolvedTrainer]:
    """Look trainers up.

    Args:
        names: of bundled trainers, with or without suffixes.
        base: the plans to begin with.

    Raises:
        ValueError: a name is unknown, or its suffixes do not suit the trainer.
    """
    return [ResolvedTrainer(name=name, trainer=trainer_class(name), base=base) for name in names]
