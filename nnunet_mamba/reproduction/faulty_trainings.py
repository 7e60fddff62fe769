"""Do something for many trainings at once, and find those that stand in its way."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from nnunet_mamba.reproduction.planned_rows import PlannedTraining

Result = TypeVar("Result")


def for_all_that_can(
    trainings: Sequence[PlannedTraining],
    do: Callable[[Sequence[PlannedTraining]], Result],
    *,
    errors: tuple[type[Exception], ...] = (ValueError,),
) -> tuple[Result | None, dict[PlannedTraining, str]]:
    """Do something for all trainings; if that fails, for those for which it does not fail alone.

    Args:
        trainings: at least one.
        do: may be called several times, and for single trainings.
        errors: by which it fails; others are not caught.

    Returns:
        What was done, None if it cannot be done for any, and why it cannot be done for which trainings.
    """
    failed: dict[PlannedTraining, str] = {}
    try:
        return do(trainings), failed
    except errors as error:
        common = in_one_line(error)
    if len(trainings) > 1:
        for one in trainings:
            try:
                do([one])
            except errors as error:
                failed[one] = in_one_line(error)
    others = [one for one in trainings if one not in failed]
    if failed and others:
        try:
            return do(others), failed
        except errors as error:
            common = in_one_line(error)
    return None, failed | dict.fromkeys(others, common)


def in_one_line(error: Exception) -> str:
    """Return the text of an error without its line breaks."""
    return " ".join(line.strip() for line in str(error).splitlines())
