"""Trainers with a budget in their name: ``nnUNetTrainerUltraLightVM_20epochs``, ``…_2epochs_20iterations``.

The name of a trainer is the only thing about it that nnU-Net's commands, results folders and checkpoints carry, so a
budget that is part of the name needs no flag, keeps its own results folder and is found again when predicting.
"""

import importlib.util
import re
from functools import cache
from pathlib import Path

from nnunet_mamba.bundled import trainers_folder
from nnunet_mamba.training.preset_trainer import PresetTrainer

_BUDGET = re.compile(r"_(?P<epochs>[1-9]\d*)epochs?(?:_(?P<iterations>[1-9]\d*)iterations?)?")


def trainer_names() -> list[str]:
    """Return the names of the bundled trainers, sorted."""
    return sorted(file.stem for file in Path(trainers_folder()).glob("nnUNetTrainer*.py"))


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


@cache
def trainer_with_budget(name: str) -> type[PresetTrainer]:
    """Return the trainer that a name with a budget stands for.

    Args:
        name: a bundled trainer's name and ``_<N>epochs`` or ``_<N>epochs_<M>iterations``, N and M >= 1: M training
            iterations an epoch, and a fifth of them for the validation of each epoch.

    Raises:
        AttributeError: the name does not begin with a bundled trainer's (so that nnU-Net searches on).
        ValueError: it does, and what follows is not a budget.
    """
    base = next((known for known in trainer_names() if name.startswith(f"{known}_")), None)
    if base is None:
        raise AttributeError(f"nnunet-mamba has no trainer {name!r}")
    budget = _BUDGET.fullmatch(name.removeprefix(base))
    if budget is None:
        raise ValueError(
            f"There is no trainer {name!r}: after {base!r} comes nothing, '_<N>epochs' or '_<N>epochs_<M>iterations' "
            f"with N and M >= 1, for example '{base}_20epochs'."
        )
    iterations = budget["iterations"]
    attributes = {
        "__doc__": f"{base} for {budget['epochs']} epochs{f' of {iterations} iterations' if iterations else ''}.",
        "__module__": __name__,
        "epochs_of_name": int(budget["epochs"]),
        "iterations_of_name": int(iterations) if iterations else None,
    }
    return type(name, (load_trainer(base),), attributes)
