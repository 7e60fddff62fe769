"""Recipes between a trainer's own and the robust one, as names, and the trainers that these names stand for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.training.augmentation.choices import PHOTOGRAPHS, STICKERS, Augmentation
from nnunet_mamba.training.generated_trainers import derived_trainer, load_trainer
from nnunet_mamba.training.preset_trainer import PresetTrainer
from nnunet_mamba.training.recipes import Recipe, robust

OWN, ROBUST = "own", "robust"
NNUNET, EMA = "nnunet", "ema"
# As the fields of an augmentation are called.
OF_PHOTOGRAPHS = ("framing", "colour", "light", "optics", "holes")
# Not yet of any recipe: stickers, lesions that are larger than the frame, and no patch that lies beyond its image.
NEW: Mapping[str, Callable[[Augmentation], Augmentation]] = {
    "stickers": lambda augmentation: replace(augmentation, stickers=STICKERS),
    "wide": lambda augmentation: _framed(augmentation, zoom=(0.6, 2.5)),
    "whole": lambda augmentation: _framed(augmentation, centres_labels=False),
}
PARTS = (NNUNET, *OF_PHOTOGRAPHS, *NEW, EMA)
_CHANGE = re.compile(r"([+-])([^+-]*)")
_MARK = "Ablation"
_NAME = re.compile(rf"(?P<base>\w+?){_MARK}(?P<parts>(?:_[a-z]+)*)_(?P<epochs>\d+)epochs_(?P<iterations>\d+)iterations")


@dataclass(frozen=True)
class Variant:
    """A trainer's own recipe with some parts of the robust one.

    Args:
        text: as the user wrote it, "own+colour".
        parts: of ``PARTS``, in their order.
    """

    text: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Return a variant: "own" or "robust", and parts that are added or taken away.

        Raises:
            ValueError: it is none; names the parts.
        """
        start, changes = re.split(r"(?=[+-])", text, maxsplit=1) if re.search("[+-]", text) else (text, "")
        found = _CHANGE.findall(changes)
        if start not in (OWN, ROBUST) or any(part not in PARTS for _, part in found):
            raise ValueError(
                f"{text!r}: expected '{OWN}' or '{ROBUST}', and parts to add or take away, such as '{OWN}+colour' or "
                f"'{ROBUST}-{EMA}'; the parts are {', '.join(PARTS)}"
            )
        parts = set((NNUNET, *OF_PHOTOGRAPHS, EMA) if start == ROBUST else ())
        for sign, part in found:
            (parts.add if sign == "+" else parts.discard)(part)
        return cls(text, tuple(part for part in PARTS if part in parts))

    def trainer_name(self, base: str, *, epochs: int, iterations: int) -> str:
        """Return the name of the trainer that trains so: all that results and checkpoints tell of it."""
        return "_".join([f"{base}{_MARK}", *self.parts, f"{epochs}epochs", f"{iterations}iterations"])


def recipe_with(recipe: Recipe, parts: tuple[str, ...]) -> Recipe:
    """Return a trainer's own recipe with some parts of the robust one.

    With nnU-Net's part images are rotated and zoomed as nnU-Net does, unless "framing" is there, too.

    Args:
        recipe: of the trainer.
        parts: of ``PARTS``.
    """
    whole = robust(recipe)
    own = recipe.augmentation
    taken = {part: getattr(whole.augmentation, part) for part in OF_PHOTOGRAPHS if part in parts}
    framing = None if NNUNET in parts else own.framing
    augmentation = replace(
        own,
        name="+".join([own.name, *parts]).removesuffix(f"+{EMA}"),
        intensities=own.intensities or NNUNET in parts,
        **{"framing": framing, **taken},
    )
    for part, change in NEW.items():
        augmentation = change(augmentation) if part in parts else augmentation
    return replace(recipe, augmentation=augmentation, ema_decay=whole.ema_decay if EMA in parts else recipe.ema_decay)


def _framed(augmentation: Augmentation, **changes: Any) -> Augmentation:
    framing = augmentation.framing or PHOTOGRAPHS.framing
    assert framing is not None
    return replace(augmentation, framing=replace(framing, **changes))


@cache
def ablation_trainer(name: str) -> type[PresetTrainer]:
    """Return the trainer that ``Variant.trainer_name`` names.

    Raises:
        AttributeError: it is none, so that nnU-Net searches on.
    """
    found = _NAME.fullmatch(name)
    if found is None or found["base"] not in trainer_names():
        raise AttributeError(f"{name!r} is no trainer of an ablation")
    trainer = load_trainer(found["base"])
    recipe = recipe_with(trainer.recipe, tuple(found["parts"].split("_")[1:]))
    return derived_trainer(trainer, name, recipe, epochs=int(found["epochs"]), iterations=int(found["iterations"]))
