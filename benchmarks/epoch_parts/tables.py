"""The tables of the epochs and their parts, as comma-separated rows of medians over the turns."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from epoch_parts.stock_training import StockFigures

TRAINING_PER_VALIDATION = 5
HERE, AGAINST = "here", "against"


@dataclass(frozen=True)
class Turn:
    """What one checkout took for one trainer in one turn.

    Args:
        checkout: HERE or AGAINST.
        trainer: without its budget.
        stock: of nnUNetv2_train.
        parts: as parts_process.py gives them.
    """

    checkout: str
    trainer: str
    stock: StockFigures
    parts: dict[str, Any]


Turns = Sequence[Turn]
Figure = Callable[[Turn], float]
# By trainer and checkout.
Groups = dict[tuple[str, str], list[Turn]]
# As parts_process.py calls them, and what they are in the table: what else validation does is to count for its Dice.
_PHASES = {
    "training": {name: name for name in ("forward", "loss", "backward", "clipping", "optimiser", "rest")},
    "validation": {"forward": "forward", "loss": "loss", "rest": "metrics"},
}


def validation_steps(n_iterations: int) -> int:
    """Return how many validation steps an epoch has beside its training steps."""
    return max(1, n_iterations // TRAINING_PER_VALIDATION)


def bare_steps(parts: dict[str, Any], n_iterations: int) -> float:
    """Return the seconds of an epoch that is nothing but its steps on ready batches."""
    ms = n_iterations * parts["training"] + validation_steps(n_iterations) * parts["validation"]
    return float(ms) / 1e3


def table_lines(turns: Turns, n_iterations: int) -> Iterator[str]:
    """Yield all tables.

    Args:
        turns: of all checkouts and trainers.
        n_iterations: of each epoch.
    """
    groups: Groups = {}
    for turn in turns:
        groups.setdefault((turn.trainer, turn.checkout), []).append(turn)
    yield from _epochs(groups, n_iterations)
    yield from _steps(groups)
    yield from _surroundings(groups, n_iterations)
    yield from _ratios(groups, n_iterations)


def _median(turns: Turns, figure: Figure) -> float:
    return statistics.median(map(figure, turns))


def _medians(turns: Turns, figures: dict[str, tuple[str, Figure]]) -> list[str]:
    return [format(_median(turns, figure), style) for style, figure in figures.values()]


def _epochs(groups: Groups, n_iterations: int) -> Iterator[str]:
    figures: dict[str, tuple[str, Figure]] = {
        "epoch_s": (".2f", lambda t: t.stock.epoch),
        "steps_and_data_s": (".2f", lambda t: t.stock.steps),
        "afterwards_s": (".2f", lambda t: t.stock.afterwards),
        "processor_s": (".1f", lambda t: t.stock.processor),
        "memory_mib": (".0f", lambda t: t.stock.memory),
        "training_process_mib": (".0f", lambda t: t.stock.first_process),
    }
    yield f"an epoch of {n_iterations} training batches, seconds and MiB"
    yield ",".join(("trainer,checkout,batch,patch", *figures))
    for key, turns in groups.items():
        batch, _, *patch = turns[0].parts["shape"]
        yield ",".join((*key, str(batch), "x".join(map(str, patch)), *_medians(turns, figures)))


def _steps(groups: Groups) -> Iterator[str]:
    figures: dict[str, tuple[str, Figure]] = {}
    for kind, phases in _PHASES.items():
        figures[f"{kind}_step"] = (".1f", lambda t, kind=kind: t.parts[kind])
        for phase, column in phases.items():
            figures[f"{kind}_{column}"] = (
                ".1f",
                lambda t, kind=kind, phase=phase: t.parts["phases"][kind].get(phase, 0.0),
            )
    figures |= {
        "page_faults": (".0f", lambda t: t.parts["faults"]),
        "busy_cores": (".2f", lambda t: t.parts["busy_cores"]),
        "kernel_share": (".3f", lambda t: t.parts["kernel_share"]),
        "threads": (".0f", lambda t: t.parts["threads"]),
    }
    yield "steps on ready batches, ms; page faults and what follows are of a training step"
    yield ",".join(("trainer,checkout", *figures))
    for key, turns in groups.items():
        yield ",".join((*key, *_medians(turns, figures)))


def _surroundings(groups: Groups, n_iterations: int) -> Iterator[str]:
    n_validations = validation_steps(n_iterations)
    figures: dict[str, tuple[str, Figure]] = {
        "training_steps_s": (".2f", lambda t: n_iterations * t.parts["training"] / 1e3),
        "validation_steps_s": (".2f", lambda t: n_validations * t.parts["validation"] / 1e3),
        "not_steps_s": (".2f", lambda t: t.stock.epoch - bare_steps(t.parts, n_iterations)),
        "end_of_epoch_s": (".2f", lambda t: t.parts["end"]),
        "checkpoints_s": (".2f", lambda t: t.parts["checkpoints"]),
        "progress_png_s": (".2f", lambda t: t.parts["plot"]),
        "training_batches_per_s": (".2f", lambda t: t.parts["training_batches_a_second"]),
        "validation_batches_per_s": (".2f", lambda t: t.parts["validation_batches_a_second"]),
    }
    yield "around the steps: seconds of an epoch, and batches that one worker loads and augments in a second"
    yield ",".join(("trainer,checkout", *figures))
    for key, turns in groups.items():
        yield ",".join((*key, *_medians(turns, figures)))


def _ratios(groups: Groups, n_iterations: int) -> Iterator[str]:
    def steps_of(turn: Turn) -> float:
        return bare_steps(turn.parts, n_iterations)

    def epoch_of(turn: Turn) -> float:
        return turn.stock.epoch

    faster: dict[str, Figure] = {
        "epoch": epoch_of,
        "bare steps of an epoch": steps_of,
        "training step": lambda t: t.parts["training"],
        "validation step": lambda t: t.parts["validation"],
        "processor time": lambda t: t.stock.processor,
    }
    smaller: dict[str, Figure] = {
        "memory": lambda t: t.stock.memory,
        "memory of the training process": lambda t: t.stock.first_process,
    }
    yield "ratios of these medians"
    yield "trainer,ratio,value"
    for trainer in dict.fromkeys(trainer for trainer, _ in groups):
        here, against = groups.get((trainer, HERE)), groups.get((trainer, AGAINST))
        if here:
            yield f"{trainer},epoch here / its bare steps,{_median(here, epoch_of) / _median(here, steps_of):.2f}"
        if not here or not against:
            continue
        ratio = _median(here, epoch_of) / _median(against, steps_of)
        yield f"{trainer},epoch here / bare steps against,{ratio:.2f}"
        for name, figure in faster.items():
            yield f"{trainer},{name}: against / here,{_median(against, figure) / _median(here, figure):.2f}"
        for name, figure in smaller.items():
            yield f"{trainer},{name}: here / against,{_median(here, figure) / _median(against, figure):.2f}"
