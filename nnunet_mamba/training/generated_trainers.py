"""Load bundled trainers by their names, and make those that a name with suffixes stands for (``trainer_name``)."""

import importlib.util
from dataclasses import replace
from functools import cache
from typing import Any

from nnunet_mamba.bundled import trainers_folder
from nnunet_mamba.networks.catalogue import network_class
from nnunet_mamba.presets.trainer_names import variants_of_file
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.preset_trainer import PresetTrainer
from nnunet_mamba.training.recipes import NNUNET, Recipe, robust


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
    recipes = {"paper": trainer.paper_recipe or trainer.recipe, "nnunet": NNUNET, "robust": robust(trainer.recipe)}
    # How often a checkpoint is worth its time depends on the network's size.
    save_every = trainer.recipe.save_every
    return {name: replace(recipe, save_every=save_every) for name, recipe in recipes.items()}


def has_deep_variant(trainer: type[PresetTrainer]) -> bool:
    """Return whether a bundled trainer may train with heads that its network does not have by itself."""
    if trainer.preset.deep_supervision or trainer.needs_single_output:
        return False
    return network_class(trainer.preset).offers_deep_supervision()


@cache
def load_trainer_with_suffixes(name: str) -> type[PresetTrainer]:
    """Return the trainer that a name with suffixes stands for.

    Args:
        name: a bundled trainer's name and at least one suffix. ``_<M>iterations`` are those of an epoch's training;
            a fifth as many validate it.

    Raises:
        AttributeError: the name does not begin with a bundled trainer's (so that nnU-Net searches on).
        ValueError: it does, and goes on with something that this trainer cannot do.
    """
    parts = TrainerName.parse(name)
    if name == parts.base or not parts.is_ours:
        raise AttributeError(f"nnunet-mamba has no trainer {name!r}")
    trainer = load_trainer(parts.base)
    if parts.unknown or (parts.deep and not has_deep_variant(trainer)):
        raise ValueError(_refusal(name, trainer))
    recipe = trainer.recipe if parts.recipe is None else named_recipes(trainer)[parts.recipe]
    return derived_trainer(
        trainer,
        name,
        recipe,
        variant=parts.variant,
        deep=parts.deep,
        epochs=parts.epochs,
        iterations=parts.iterations,
        seed=parts.seed,
    )


def derived_trainer(
    trainer: type[PresetTrainer],
    name: str,
    recipe: Recipe,
    *,
    variant: str | None = None,
    deep: bool = False,
    epochs: int | None = None,
    iterations: int | None = None,
    seed: int | None = None,
) -> type[PresetTrainer]:
    """Return a trainer that trains the network of another in another way, or a variant of it.

    Args:
        trainer: the other.
        name: of the new class, by which nnU-Net must find it again when it predicts.
        recipe: of the new one.
        variant: that the other one has; None for the other's own network and terms of the loss.
        deep: whether it trains with deep supervision.
        epochs: None for as many as the recipe has.
        iterations: of an epoch; None for as many as nnU-Net has.
        seed: that it begins with; None for that of the environment, if there is one.
    """
    attributes: dict[str, Any] = {
        "__doc__": f"{trainer.__name__} as {name!r}.",
        "__module__": __name__,
        "recipe": recipe,
        "variant_of_name": variant,
        "deep_of_name": deep,
        "epochs_of_name": epochs,
        "iterations_of_name": iterations,
        "seed_of_name": seed,
    }
    return type(name, (trainer,), attributes)


def _refusal(name: str, trainer: type[PresetTrainer]) -> str:
    base = trainer.__name__
    deep = ""
    if has_deep_variant(trainer):
        deep = "'_deep', "
    elif "_deep" in name:
        return f"There is no trainer {name!r}: {base!r} {_reason_without_deep_variant(trainer)}; leave '_deep' out."
    listed = ", ".join(f"'_{variant}'" for variant in variants_of_file(base))
    variants = f"a variant ({listed}), " if listed else ""
    return (
        f"There is no trainer {name!r}: what may follow {base!r} is, in this order, {variants}'_paper', '_nnunet' or "
        f"'_robust', {deep}'_<N>epochs' or '_<N>epochs_<M>iterations' with N and M >= 1, and '_seed<N>' with N >= 0, "
        f"for example '{base}_20epochs' or '{base}_nnunet_20epochs_seed1'."
    )


def _reason_without_deep_variant(trainer: type[PresetTrainer]) -> str:
    if trainer.preset.deep_supervision:
        return "trains with deep supervision anyway"
    return "needs a single output" if trainer.needs_single_output else "has a network with a single head"
