"""Which cases a report shows: the best, the median and the worst of all models together, and what all of them miss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.results.confusion import mean

# A Dice that no reader would call a hit.
MISSED_BELOW = 0.5


@dataclass(frozen=True, kw_only=True)
class ChosenCase:
    """A case that a report shows.

    Args:
        identifier: of the case.
        why: "best", "median", "worst" or "missed".
        dice: of each model, in the order of the models.
    """

    identifier: str
    why: str
    dice: Sequence[float]


def extreme_cases(models: Sequence[ReportedModel]) -> list[ChosenCase]:
    """Return the best, the median and the worst case by the mean Dice of all models; fewer where there are fewer.

    Args:
        models: at least one, on the same cases.
    """
    ranked = _ranked(models)
    places = {"best": len(ranked) - 1, "median": len(ranked) // 2, "worst": 0}
    chosen: dict[str, ChosenCase] = {}
    for why, place in places.items():
        if ranked and ranked[place][0] not in chosen:
            identifier, dice = ranked[place]
            chosen[identifier] = ChosenCase(identifier=identifier, why=why, dice=dice)
    return list(chosen.values())


def missed_cases(models: Sequence[ReportedModel], *, below: float = MISSED_BELOW) -> list[ChosenCase]:
    """Return the cases in which no model reaches a Dice, the worst first.

    Args:
        models: at least one, on the same cases.
        below: the Dice that none reaches.
    """
    return [
        ChosenCase(identifier=identifier, why="missed", dice=dice)
        for identifier, dice in _ranked(models)
        if all(each < below for each in dice if not math.isnan(each))
    ]


def _ranked(models: Sequence[ReportedModel]) -> list[tuple[str, tuple[float, ...]]]:
    """Return the cases that have a Dice, the worst first."""
    tables = [model.case_dice() for model in models]
    scored = ((name, tuple(table[name] for table in tables)) for name in models[0].identifiers)
    found = [(name, dice) for name, dice in scored if not math.isnan(mean(dice))]
    return sorted(found, key=lambda each: (mean(each[1]), each[0]))
