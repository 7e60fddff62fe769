"""The seed of a training: that of its trainer's name, or of an environment variable; without torch."""

import os

SEED_VARIABLE = "NNUNET_MAMBA_SEED"


def seed_of_environment() -> int | None:
    """Return the seed that the environment variable gives; None where it is not set.

    Raises:
        ValueError: it is no whole number from 0.
    """
    text = os.environ.get(SEED_VARIABLE, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{SEED_VARIABLE}={text!r}: expected a whole number from 0, such as 1; or unset it")
    return int(text)


def seed_of_training(trainer: str, of_name: int | None) -> int | None:
    """Return the seed of a training; None if neither its trainer's name nor the environment gives one.

    Args:
        trainer: its name.
        of_name: the seed in that name, None without one.

    Raises:
        ValueError: the environment gives another seed than the name, or no seed at all.
    """
    given = seed_of_environment()
    if of_name is None or given is None or given == of_name:
        return given if of_name is None else of_name
    raise ValueError(
        f"{SEED_VARIABLE}={given} asks for another seed than the name {trainer!r}, which has {of_name}: unset the "
        f"variable, or take the trainer whose name ends with '_seed{given}'"
    )
