"""Trainers that say in their name how they train: ``nnUNetTrainerUltraLightVM_nnunet_deep_20epochs``.

The name of a trainer is the only thing about it that nnU-Net's commands, results folders and checkpoints carry. What is
part of the name therefore needs no flag, keeps its own results folder and is found again when predicting. Three
suffixes may follow the name of a bundled trainer, in this order: the recipe (``_paper`` or ``_nnunet``), ``_deep`` for
deep supervision, and the budget (``_<N>epochs`` or ``_<N>epochs_<M>iterations``).
"""

import importlib.util
import re
from dataclasses import replace
from functools import cache
from typing import Any

from nnunet_mamba.bundled import trainer_names, trainers_folder
from nnunet_mamba.networks.catalogue import network_class
from nnunet_mamba.training.preset_trainer import PresetTrainer
from nnunet_mamba.training.recipes import NNUNET, Recipe

_SUFFIXES = re.compile(
    r"(?:_(?P<recipe>paper|nnunet))?(?P<deep>_deep)?"
    r"(?:_(?P<epochs>[1-9]\d*)epochs?(?:_(?P<iterations>[1-9]\d*)iterations?)?)?"
)


@cache
def load_trainer(name: str) -> type[PresetTrainer]:
    """Return a bundled trainer class by its name; the file has the name of the class."""
    spec = importlib.util.spec_from_file_location(f"nnunet_mamba_trainers.{name}", f"{trainers_folder()}/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    trainer: type[PresetTrainer] = getattr(module, name)
    return trainer


def named_recipes(trainer: type[PresetTrainer]) -> dict[str, Recipe]:
    """Return the recipes that can follow the name of a bundled trainer, by their suffix."""
    recipes = {"paper": trainer.paper_recipe or trainer.recipe, "nnunet": NNUNET}
    # How often a checkpoint is worth its time depends on the network's size.
    save_every = trainer.recipe.save_every
    return {name: replace(recipe, save_every=save_every) for name, recipe in recipes.items()}


def has_deep_variant(trainer: type[PresetTrainer]) -> bool:
    """Return whether a bundled trainer may train with heads that its network does not have by itself."""
    if trainer.preset.deep_supervision or trainer.needs_single_output:
        return False
    return network_class(trainer.preset).offers_deep_supervision()


@cache
def trainer_with_budget(name: str) -> type[PresetTrainer]:
    """Return the trainer that a name with suffixes stands for.

    Args:
        name: a bundled trainer's name and at least one suffix; N and M >= 1: M training iterations an epoch, and a
            fifth of them for the validation of each epoch.

    Raises:
        AttributeError: the name does not begin with a bundled trainer's (so that nnU-Net searches on).
        ValueError: it does, and goes on with something that this trainer cannot do.
    """
    base, separator, _ = name.partition("_")
    if not separator or base not in trainer_names():
        raise AttributeError(f"nnunet-mamba has no trainer {name!r}")
    trainer = load_trainer(base)
    suffixes = _SUFFIXES.fullmatch(name.removeprefix(base))
    if suffixes is None or (suffixes["deep"] and not has_deep_variant(trainer)):
        raise ValueError(_refusal(name, trainer))
    attributes: dict[str, Any] = {"__doc__": f"{base} with {name.removeprefix(base)!r}.", "__module__": __name__}
    if suffixes["recipe"]:
        attributes["recipe"] = named_recipes(trainer)[suffixes["recipe"]]
    if suffixes["deep"]:
        attributes["deep_of_name"] = True
    for budget in ("epochs", "iterations"):
        if suffixes[budget]:
            attributes[f"{budget}_of_name"] = int(suffixes[budget])
    return type(name, (trainer,), attributes)


def _refusal(name: str, trainer: type[PresetTrainer]) -> str:
    base = trainer.__name__
    deep = ""
    if has_deep_variant(trainer):
        deep = "'_deep', "
    elif "_deep" in name:
        return f"There is no trainer {name!r}: {base!r} {_reason_without_deep_variant(trainer)}; leave '_deep' out."
    return (
        f"There is no trainer {name!r}: what may follow {base!r} is, in this order, '_paper' or '_nnunet', {deep}"
        f"'_<N>epochs' or '_<N>epochs_<M>iterations' with N and M >= 1, for example '{base}_20epochs' or "
        f"'{base}_nnunet_20epochs'."
    )


def _reason_without_deep_variant(trainer: type[PresetTrainer]) -> str:
    if trainer.preset.deep_supervision:
        return "trains with deep supervision anyway"
    return "needs a single output" if trainer.needs_single_output else "has a network with a single head"
