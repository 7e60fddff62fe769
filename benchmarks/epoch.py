"""Measure an epoch of a stock nnUNetv2_train on the CPU beside its parts, here and in another checkout.

    python benchmarks/epoch.py [--against CHECKOUT] [--turns 1] [--iterations 250] [--epochs 3] [--trainers NAME ...]
                               [--dataset FOLDER | --cases 820] [--batch-size N] [--folder FOLDER] [--passive]

Trains with nnU-Net's own command, with batch and patch of ``nnunet-mamba plan`` and with nothing set about threads or
workers, whatever the caller has set. The parts come from a second process, which starts as nnUNetv2_train does and runs
the trainer's own steps on batches that are ready. The checkouts take turns on the same data and plans. A checkout's
package and trainers are used without being installed; nnU-Net and torch are this environment's.

The tables at the end hold medians over the turns (take three): epochs, steps and what they consist of, what surrounds
them, ratios.
The first epoch of a stock training does not count, and the training is ended after its last one. ``epoch_s`` is the
time from one epoch to the next, with checkpoints and progress.png. ``memory_mib`` is of all processes together, looked
at once a second; ``training_process_mib`` is the system's own peak of the process that trains. ``busy_cores`` counts
threads that wait by spinning as busy: --passive gives the parts OMP_WAIT_POLICY=passive, and then it tells what really
runs at once.

Only an idle machine gives figures that mean something: beside other programs, threads that spin can make the same steps
many times as long. With few --iterations everything is tried, and an epoch's seconds are those of so few. A --folder
that is kept has the data and plans of its first run. Linux only: memory is read from /proc.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from epoch_parts.stock_training import train
from epoch_parts.tables import AGAINST, HERE, Turn, bare_steps, table_lines
from stock_runs.checkouts import Checkout
from stock_runs.planned_data import PlannedData, planned_data
from stock_runs.watched_process import watch
from timing import machine

from nnunet_mamba.training.plans_names import plans_name

PARTS = Path(__file__).parent / "epoch_parts" / "parts_process.py"
TRAINERS = ("nnUNetTrainerUltraLightVM", "nnUNetTrainerUltraLBM", "nnUNetTrainerVMUNet", "nnUNetTrainerUMambaBotTumour")
# The plans' own limit: a batch is at most 5 % of the training images, and recipes have batches of up to 32.
N_DRAWN = 820
LOAD_OF_IDLE = 0.5


def measured_parts(
    checkout: Checkout, data: PlannedData, trainer: str, *, n_iterations: int, is_passive: bool
) -> dict[str, object]:
    """Return what parts_process.py measures.

    Args:
        checkout: whose trainer to measure.
        data: to train on.
        trainer: with its budget.
        n_iterations: training steps.
        is_passive: whether threads wait without spinning.
    """
    with tempfile.TemporaryDirectory(prefix="epoch_") as name:
        root = data.training_root(Path(name))
        answer = root / "parts.json"
        options = ("-tr", trainer, "-p", plans_name(trainer, "nnUNetPlans"), "-device", "cpu")
        command = [sys.executable, str(PARTS), str(answer), str(n_iterations), str(data.number), "2d", "0", *options]
        environment = checkout.environment(root, **({"OMP_WAIT_POLICY": "passive"} if is_passive else {}))
        watch(command, environment, output=root / "output.txt", is_done=lambda: False)
        found: dict[str, object] = json.loads(answer.read_text(encoding="utf-8"))
    if checkout.folder not in Path(str(found["package"])).resolve().parents:
        raise RuntimeError(f"{found['package']} was measured instead of {checkout.folder}")
    return found


def measure(
    checkouts: list[Checkout], data: PlannedData, options: argparse.Namespace, keep: Callable[[Turn], None]
) -> None:
    """Let the checkouts take turns, and keep what each took."""
    for turn in range(1, 1 + options.turns):
        for trainer in options.trainers:
            name = f"{trainer}_{options.epochs}epochs_{options.iterations}iterations"
            for checkout in checkouts:
                # First the parts: whatever compiles once on this machine compiles there.
                parts = measured_parts(
                    checkout, data, name, n_iterations=options.iterations, is_passive=options.passive
                )
                stock = train(checkout, data, name)
                keep(Turn(checkout.name, trainer, stock, parts))
                said = f"epochs of {' '.join(f'{seconds:.1f}' for seconds in stock.epochs)} s"
                bare = f"bare steps {bare_steps(parts, options.iterations):.1f} s"
                print(f"turn {turn}: {trainer}, {checkout.name}: {said}, {bare}", file=sys.stderr, flush=True)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainers", nargs="+", default=TRAINERS, metavar="NAME", help="without a budget")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, for ratios")
    parser.add_argument("--turns", type=int, default=1, help="whose median counts")
    parser.add_argument("--iterations", type=int, default=250, help="training batches of an epoch, at least 5")
    parser.add_argument("--epochs", type=int, default=3, help="of each training, at least 2")
    parser.add_argument("--dataset", type=Path, help="nnU-Net's data set, images/ and masks/, or ISIC's; else drawn")
    parser.add_argument("--cases", type=int, default=N_DRAWN, help="photographs to draw without --dataset")
    parser.add_argument("--batch-size", type=int, help="of all plans, instead of what nnunet-mamba plan finds")
    parser.add_argument("--folder", type=Path, help="keeps the prepared data, and has them from an earlier run")
    parser.add_argument("--passive", action="store_true", help="OMP_WAIT_POLICY=passive for the parts")
    options = parser.parse_args(arguments)
    for name, least in (("turns", 1), ("iterations", 5), ("epochs", 2)):
        if (value := getattr(options, name)) < least:
            parser.error(f"--{name} {value}: expected at least {least}")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    options = options_of(arguments)
    # As Ctrl-C does: what was started ends, and the tables are printed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    checkouts = [Checkout(HERE, Path(__file__).resolve().parents[1])]
    if options.against is not None:
        checkouts.append(Checkout(AGAINST, options.against.resolve()))
    kept = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory(prefix="epoch_")
    turns: list[Turn] = []
    load = os.getloadavg()[0]
    with kept as name:
        root = Path(name).resolve()
        root.mkdir(parents=True, exist_ok=True)
        for checkout in checkouts:
            checkout.refuse_if_not_used(root)
        print(machine())
        print("commits," + ",".join(f"{checkout.name} {checkout.commit()}".strip() for checkout in checkouts))
        print(f"load_at_start,{load:.2f}", flush=True)
        if load > LOAD_OF_IDLE:
            print("This machine is busy: spinning threads make steps many times as long on it", file=sys.stderr)
        data = planned_data(
            root,
            checkouts[0],
            source=options.dataset,
            n_cases=options.cases,
            trainers=options.trainers,
            batch_size=options.batch_size,
        )
        try:
            measure(checkouts, data, options, turns.append)
        finally:
            # An error after hours takes no figures away.
            print(*table_lines(turns, options.iterations), sep="\n")


if __name__ == "__main__":
    main()
