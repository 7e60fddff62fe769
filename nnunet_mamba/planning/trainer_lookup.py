"""The trainers that can be planned for, by their names."""

from difflib import get_close_matches

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.training.generated_trainers import load_trainer, load_trainer_with_suffixes
from nnunet_mamba.training.preset_trainer import PresetTrainer


def trainer_class(name: str) -> type[PresetTrainer]:
    """Return one of our trainers by its name, with or without suffixes.

    Raises:
        ValueError: there is none of that name, then it lists those there are; or its suffixes do not suit the trainer.
    """
    if name in trainer_names():
        return load_trainer(name)
    try:
        return load_trainer_with_suffixes(name)
    except AttributeError:
        alike = get_close_matches(name, trainer_names(), n=1, cutoff=0.9)
        meant = f". Did you mean {alike[0]}?" if alike else ""
        known = ", ".join(trainer_names())
        raise ValueError(f"`trainers` {name}: unknown; choose one of {known}{meant}") from None
