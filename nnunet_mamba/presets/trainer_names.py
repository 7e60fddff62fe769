"""The names of the trainers of networks and of their variants.

A variant is a row of a paper's ablation tables, and one part of a trainer's name, directly behind that of its file:
``nnUNetTrainerVMUNet_dropPath01`` trains VM-UNet with a drop path of 0.1. All parts of a name stand in
``nnunet_mamba.trainer_name``.
"""

from collections.abc import Mapping
from typing import Any

from nnunet_mamba.presets import PRESETS, Preset


def preset_of_file(trainer: str) -> Preset | None:
    """Return the network of the trainer whose file has this name; None for one that is not of nnunet-mamba."""
    found = (preset for preset in PRESETS.values() if trainer in (preset.trainer, *preset.other_trainers))
    return next(found, None)


def variants_of_file(trainer: str) -> tuple[str, ...]:
    """Return the variants that can follow the name of a trainer's file: of its network, and of how it trains."""
    preset = preset_of_file(trainer)
    return () if preset is None else (*preset.variants, *preset.training_variants.get(trainer, {}))


def trainer_of(preset: str, overrides: Mapping[str, Any], trainer: str = "") -> str:
    """Return the name of the trainer that trains a network, without recipe, budget and seed.

    Args:
        preset: the network's name in ``PRESETS``.
        overrides: keyword arguments of the network that replace the preset's, as ``create_network`` takes them.
        trainer: one of this network that trains it in another way than its own, with its variant, such as
            "nnUNetTrainerUltraLBMTDistill_kl"; "" for the preset's own.

    Returns:
        Such as "nnUNetTrainerVMUNet_dropPath01"; the preset's own trainer for overrides that repeat its arguments.

    Raises:
        ValueError: there is no such network, no variant of it has these overrides, or the trainer is not of it.
    """
    if preset not in PRESETS:
        raise ValueError(f"There is no network {preset!r} to train; choose one of {', '.join(PRESETS)}")
    found = PRESETS[preset]
    if trainer:
        _refuse_trainer_of_another(found, trainer, overrides)
        return trainer
    published = found.sizes[0].arguments
    wanted = {**published, **overrides}
    variants: dict[str, Mapping[str, Any]] = {"": {}, **found.variants}
    for name, values in variants.items():
        if {**published, **values} == wanted:
            return f"{found.trainer}_{name}" if name else found.trainer
    told = ", ".join(f"{name}={value!r}" for name, value in overrides.items())
    raise ValueError(
        f"No trainer of {preset} has {told}: {found.trainer} has "
        f"{'the variants ' + ', '.join(found.variants) if found.variants else 'no variants'}"
    )


def _refuse_trainer_of_another(preset: Preset, trainer: str, overrides: Mapping[str, Any]) -> None:
    base, _, variant = trainer.partition("_")
    if base not in preset.other_trainers or variant not in ("", *preset.training_variants.get(base, {})):
        known = [
            f"{name}_{variant}" if variant else name
            for name in preset.other_trainers
            for variant in ("", *preset.training_variants.get(name, {}))
        ]
        raise ValueError(
            f"{trainer!r} trains no {preset.name}; further trainers of that network are {', '.join(known) or 'none'}"
        )
    if overrides:
        raise ValueError(
            f"{trainer} trains {preset.name} as it is, and not with {', '.join(overrides)}; leave one of both out"
        )
