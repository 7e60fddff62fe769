"""The name of a trainer, which says how it trains: ``nnUNetTrainerUltraLightVM_nnunet_deep_20epochs``.

The name is the only thing about a trainer that nnU-Net's commands, results folders and checkpoints carry. What is part
of the name therefore needs no flag, keeps its own results folder and is found again when predicting. Five suffixes
may follow the name of a bundled trainer, in this order: a variant, which is a row of its paper's ablations, such as
``_dropPath01`` (``presets.trainer_names`` knows them); the recipe (``_paper``, ``_nnunet`` or ``_robust``); ``_deep``
for deep supervision; the budget (``_<N>epochs`` or ``_<N>epochs_<M>iterations``, N and M >= 1); and the seed
(``_seed<N>``, N >= 0).
"""

import re
from dataclasses import dataclass, replace

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.presets.trainer_names import variants_of_file

# As few characters as possible are unknown, so that every suffix in its place is read.
_PARTS = re.compile(
    r"(?P<base>[^_]*)(?P<unknown>.*?)(?:_(?P<recipe>paper|nnunet|robust))?(?P<deep>_deep)?"
    r"(?:_(?P<epochs>[1-9]\d*)epochs?(?:_(?P<iterations>[1-9]\d*)iterations?)?)?"
    r"(?:_seed(?P<seed>0|[1-9]\d*))?",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class TrainerName:
    """The parts of a trainer's name; as text, the name with its budget in the plural.

    Args:
        base: what stands before the first underscore; for one of our trainers, the name of its file.
        variant: one that the base has; None for the network, and the training, of the base.
        unknown: what follows the base or its variant and is none of the suffixes; empty for all of our trainers.
        recipe: "paper", "nnunet" or "robust"; None for the trainer's own.
        deep: whether the name asks for deep supervision.
        epochs: None for as many as the recipe has.
        iterations: of an epoch; None for as many as nnU-Net has, and without ``epochs``.
        seed: of the training; None if the name has none.
    """

    base: str
    variant: str | None = None
    unknown: str = ""
    recipe: str | None = None
    deep: bool = False
    epochs: int | None = None
    iterations: int | None = None
    seed: int | None = None

    @classmethod
    def parse(cls, name: str) -> "TrainerName":
        """Return the parts of any trainer's name, ours or not."""
        found = _PARTS.fullmatch(name)
        assert found is not None
        epochs, iterations, seed = found["epochs"], found["iterations"], found["seed"]
        base, unknown = found["base"], found["unknown"]
        variant = next((name for name in variants_of_file(base) if f"{unknown}_".startswith(f"_{name}_")), None)
        return cls(
            base=base,
            variant=variant,
            unknown=unknown if variant is None else unknown.removeprefix(f"_{variant}"),
            recipe=found["recipe"],
            deep=found["deep"] is not None,
            epochs=int(epochs) if epochs else None,
            iterations=int(iterations) if iterations else None,
            seed=int(seed) if seed else None,
        )

    @property
    def is_ours(self) -> bool:
        """Whether the base is a bundled trainer, be the suffixes known or not."""
        return self.base in trainer_names()

    def without_budget_and_seed(self) -> "TrainerName":
        """Return the name without what changes nothing in a training's memory: how long it trains, and its seed."""
        return replace(self, epochs=None, iterations=None, seed=None)

    def with_seed(self, seed: int | None) -> "TrainerName":
        """Return the name of the same training from another seed, or from none."""
        return replace(self, seed=seed)

    def __str__(self) -> str:
        variant = "" if self.variant is None else f"_{self.variant}"
        suffixes = [
            self.recipe,
            "deep" if self.deep else None,
            f"{self.epochs}epochs" if self.epochs else None,
            f"{self.iterations}iterations" if self.iterations else None,
            None if self.seed is None else f"seed{self.seed}",
        ]
        return "_".join([self.base + variant + self.unknown, *filter(None, suffixes)])
