"""The parts of an epoch, in a process that starts as nnUNetv2_train does and has no workers.

    python parts_process.py ANSWER_FILE ITERATIONS DATASET 2d 0 -tr TRAINER ...

What follows the iterations are nnUNetv2_train's own arguments. The whole start of a training runs, with all that the
checkout's trainers do there; only the loop over the epochs is replaced by one that measures. It imports nothing of
nnunet_mamba itself, so that it measures any checkout.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import torch
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from threadpoolctl import threadpool_limits

Batch = dict[str, Any]
N_READY = 8
N_WARM = 5
# Of nnU-Net: a validation batch for every five training batches.
TRAINING_PER_VALIDATION = 5


class Stopwatch:
    """Adds up the time that is spent in some functions."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted under a name."""

        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - start

        return run

    @contextmanager
    def on_network(self, network: torch.nn.Module) -> Iterator[None]:
        """Count the network's passes as "forward"."""
        starts = []
        before = network.register_forward_pre_hook(lambda *_: starts.append(time.perf_counter()))

        def count(*_: Any) -> None:
            self.seconds["forward"] += time.perf_counter() - starts.pop()

        after = network.register_forward_hook(count)
        try:
            yield
        finally:
            before.remove()
            after.remove()


class UsedUp:
    """What this process has used since it was made: wall time, processor time and page faults."""

    def __init__(self) -> None:
        self._start, self._usage = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)

    def per_step(self, n_steps: int) -> dict[str, float]:
        """Return page faults of a step, cores that are busy, and the kernel's share of the processor time."""
        wall, now = time.perf_counter() - self._start, resource.getrusage(resource.RUSAGE_SELF)
        system = now.ru_stime - self._usage.ru_stime
        processor = now.ru_utime - self._usage.ru_utime + system
        faults = now.ru_minflt - self._usage.ru_minflt
        return {"faults": faults / n_steps, "busy_cores": processor / wall, "kernel_share": system / processor}


def batches_a_second(loader: Iterator[Batch], n_batches: int) -> float:
    """Return how many batches a worker loads and augments in a second: with one thread, as workers do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1, None):
        next(loader)
        start = time.perf_counter()
        for _ in range(n_batches):
            next(loader)
        seconds = time.perf_counter() - start
    torch.set_num_threads(threads)
    return n_batches / seconds


def epoch(trainer: Any, training: Iterator[Batch], validation: Iterator[Batch], n_iterations: int) -> dict[str, Any]:
    """Run an epoch of the trainer on ready batches; return the ms of every step and the seconds of its end."""
    steps: dict[str, list[float]] = {"training": [], "validation": []}
    outputs: dict[str, list[Any]] = {"training": [], "validation": []}

    def run(kind: str, step: Callable[[Batch], Any], batches: Iterator[Batch], number: int) -> None:
        for batch in islice(batches, number):
            start = time.perf_counter()
            outputs[kind].append(step(batch))
            steps[kind].append((time.perf_counter() - start) * 1e3)

    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    used = UsedUp()
    run("training", trainer.train_step, training, n_iterations)
    use = used.per_step(n_iterations)
    trainer.on_train_epoch_end(outputs["training"])
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        n_validations = max(1, n_iterations // TRAINING_PER_VALIDATION)
        run("validation", trainer.validation_step, validation, n_validations)
        trainer.on_validation_epoch_end(outputs["validation"])
    start = time.perf_counter()
    trainer.on_epoch_end()
    return {"steps": steps, "use": use, "end": time.perf_counter() - start}


def phases(trainer: Any, training: Iterator[Batch], validation: Iterator[Batch], n_steps: int) -> dict[str, Any]:
    """Return the median ms of what training and validation steps are made of, and the rest of each."""
    found: dict[str, Any] = {}
    for kind, step, batches in (
        ("training", trainer.train_step, training),
        ("validation", trainer.validation_step, validation),
    ):
        trainer.network.train(kind == "training")
        watch = Stopwatch()
        rows: list[dict[str, float]] = []
        with ExitStack() as stack:
            stack.enter_context(watch.on_network(trainer.network))
            for holder, attribute, name in (
                (trainer, "loss", "loss"),
                (trainer.optimizer, "step", "optimiser"),
                (torch.nn.utils, "clip_grad_norm_", "clipping"),
                (torch.Tensor, "backward", "backward"),
            ):
                timed = watch.timed(name, getattr(holder, attribute))
                stack.enter_context(patch.object(holder, attribute, timed))
            stack.enter_context(torch.set_grad_enabled(kind == "training"))
            for batch in islice(batches, n_steps):
                watch.seconds.clear()
                start = time.perf_counter()
                step(batch)
                total = time.perf_counter() - start
                rows.append({**watch.seconds, "rest": total - sum(watch.seconds.values())})
        names = dict.fromkeys(name for row in rows for name in row)
        found[kind] = {name: statistics.median(row.get(name, 0.0) for row in rows) * 1e3 for name in names}
    return found


def measure(trainer: Any, n_iterations: int) -> dict[str, Any]:
    """Return the parts of an epoch."""
    trainer.on_train_start()
    few = max(N_WARM, n_iterations // TRAINING_PER_VALIDATION)
    ready = [list(islice(loader, N_READY)) for loader in (trainer.dataloader_train, trainer.dataloader_val)]
    batches = cycle(ready[0]), cycle(ready[1])
    # Kernels compile, memory settles, fonts are found.
    epoch(trainer, *batches, N_WARM)
    watch = Stopwatch()
    with ExitStack() as stack:
        for holder, attribute in ((trainer, "save_checkpoint"), (trainer.logger, "plot_progress_png")):
            timed = watch.timed(attribute, getattr(holder, attribute))
            stack.enter_context(patch.object(holder, attribute, timed))
        plain = epoch(trainer, *batches, n_iterations)
    return {
        "shape": list(ready[0][0]["data"].shape),
        "threads": torch.get_num_threads(),
        "training": statistics.median(plain["steps"]["training"]),
        "validation": statistics.median(plain["steps"]["validation"]),
        **plain["use"],
        "end": plain["end"],
        "checkpoints": watch.seconds["save_checkpoint"],
        "plot": watch.seconds["plot_progress_png"],
        "phases": phases(trainer, *batches, few),
        # Last: the steps must find the threads as nnU-Net has set them.
        "training_batches_a_second": batches_a_second(trainer.dataloader_train, few),
        "validation_batches_a_second": batches_a_second(trainer.dataloader_val, few),
    }


def main() -> None:
    """Start a training as nnUNetv2_train does, and measure instead of training."""
    answer, n_iterations, *arguments = sys.argv[1:]
    # Set before nnU-Net asks: batches are drawn in this process.
    os.environ["nnUNet_n_proc_DA"] = "0"

    def measure_and_end(trainer: Any) -> NoReturn:
        found = measure(trainer, int(n_iterations))
        found["package"] = str(sys.modules["nnunet_mamba"].__file__)
        Path(answer).write_text(json.dumps(found), encoding="utf-8")
        # nnU-Net would predict the validation cases.
        raise SystemExit

    sys.argv = ["nnUNetv2_train", *arguments]
    # Beneath what the checkout's trainers do around the loop.
    with patch.object(nnUNetTrainer, "run_training", measure_and_end):
        run_training_entry()


if __name__ == "__main__":
    main()
