"""Epochs of a stock nnUNetv2_train, as its own log tells them."""

import re
import statistics
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stock_runs.checkouts import Checkout
from stock_runs.planned_data import PlannedData
from stock_runs.watched_process import processor_seconds, watch

from nnunet_mamba.demo.steps import program
from nnunet_mamba.training.plans_names import plans_name

_LINE = re.compile(r"(?P<moment>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?): (?P<text>.*)")
# After it nnU-Net predicts the fold's validation cases, which is no part of an epoch.
_END = "Training done."


@dataclass(frozen=True)
class Epoch:
    """An epoch in nnU-Net's log.

    Args:
        start: seconds since 1970.
        seconds: its training and validation steps, as nnU-Net counts them.
        afterwards: seconds until the next epoch begins: checkpoints and progress.png; None for the last epoch.
    """

    start: float
    seconds: float
    afterwards: float | None


@dataclass(frozen=True)
class StockFigures:
    """What a training took; medians leave out its first epoch, in which kernels compile and workers start.

    Args:
        epochs: seconds of each, in order, without what comes after it.
        steps: median seconds of an epoch's training and validation steps.
        afterwards: median seconds between the end of an epoch's steps and the next epoch.
        processor: median processor seconds of an epoch's steps, workers included.
        memory: most MiB of all its processes together.
        first_process: most MiB of the process that trains.
    """

    epochs: tuple[float, ...]
    steps: float
    afterwards: float
    processor: float
    memory: float
    first_process: float

    @property
    def epoch(self) -> float:
        """Seconds from the beginning of one epoch to that of the next."""
        return self.steps + self.afterwards


def train(checkout: Checkout, data: PlannedData, trainer: str) -> StockFigures:
    """Train with nnU-Net's own command on the CPU, in a results folder that is then deleted.

    Args:
        checkout: whose trainers train.
        data: to train on.
        trainer: with its budget, of at least two epochs.

    Raises:
        RuntimeError: the training failed.
    """
    with tempfile.TemporaryDirectory(prefix="epoch_") as name:
        root = data.training_root(Path(name))
        options = ("-tr", trainer, "-p", plans_name(trainer, "nnUNetPlans"), "-device", "cpu")
        command = [program("nnUNetv2_train"), str(data.number), "2d", "0", *options]

        def lines() -> list[str]:
            logs = root.glob("nnUNet_results/*/*/fold_0/training_log_*.txt")
            return [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]

        def is_done() -> bool:
            return any(_END in line for line in lines())

        looks = watch(command, checkout.environment(root), output=root / "output.txt", is_done=is_done)
        epochs = epochs_of(lines())
    counted = epochs[1:]
    if not counted or not looks:
        raise RuntimeError(f"{' '.join(command)} trained {len(epochs)} epochs, and at least two are needed")
    return StockFigures(
        epochs=tuple(epoch.seconds for epoch in epochs),
        steps=statistics.median(epoch.seconds for epoch in counted),
        # With two epochs there is nothing after the second.
        afterwards=statistics.median(e.afterwards for e in (counted[:-1] or epochs[:1]) if e.afterwards is not None),
        processor=statistics.median(processor_seconds(looks, e.start, e.start + e.seconds) for e in counted),
        memory=max(look.memory for look in looks),
        first_process=max(look.first_process_peak for look in looks),
    )


def epochs_of(lines: Iterable[str]) -> list[Epoch]:
    """Return the whole epochs of a training log.

    Args:
        lines: of one training from its beginning, each with its time.
    """
    starts: list[float] = []
    seconds: list[float] = []
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        text = found["text"].strip()
        if re.fullmatch(r"Epoch \d+", text):
            starts.append(datetime.fromisoformat(found["moment"]).timestamp())
        elif took := re.fullmatch(r"Epoch time: (\S+) s", text):
            seconds.append(float(took[1]))
    afterwards: list[float | None] = [
        next_start - start - took for start, next_start, took in zip(starts, starts[1:], seconds, strict=False)
    ]
    return [Epoch(*one) for one in zip(starts, seconds, [*afterwards, None], strict=False)]
