"""Measure what torch.compile and bf16 make of every network's step on a CPU.

    python benchmarks/cpu_compile.py [--networks NAME ...] [--repeats 5] [--limit 600] [--batch N]

Every network that has a trainer takes a training step (loss, backward, AdamW) and a forward pass for evaluation: as
nnU-Net runs them on a CPU, in float32 and eager; compiled by torch.compile with its C++ backend; and in bf16 autocast
where the processor has bf16 products (AVX512-BF16 or AMX). The batch is 8 photographs of 256×256, as in the plans of
the small networks; networks of more than five million parameters get 2, which the column ``batch`` says.

Each network has a process of its own with an empty compile cache, and --limit seconds: one that is not compiled by then
costs only itself, and what was measured before stands in its row. ``compile_s`` is the first compiled step less an
ordinary one. ``breaks`` counts graph breaks. ``difference`` is the largest one to eager float32, divided by the largest
eager value: of the gradients of a training step, of the logits of a pass. ``pays`` says whether compiling has paid for
itself after ten epochs: whether it takes less time than 2500 steps, compiled, save. Medians of runs that take turns;
seconds want an idle machine.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timing import machine, medians
from torch import Tensor, nn

from nnunet_mamba.training.cpu_trainer import has_compiler
from nnunet_mamba.training.precision import cpu_multiplies_bf16

SIDE, CHANNELS, CLASSES = 256, 3, 2
BATCH, BATCH_OF_LARGE, LARGE = 8, 2, 5_000_000
STEPS_THAT_PAY = 2500
KINDS = ("training", "evaluation")
COLUMNS = (
    *("network", "parameters", "batch", "kind", "eager_ms", "bf16_ms", "eager/bf16", "bf16_difference"),
    *("compiled_ms", "eager/compiled", "compile_s", "breaks", "compiled_difference", "pays", "note"),
)


@dataclass
class Runner:
    """A network with its optimiser, that runs training steps and passes in one way.

    Args:
        network: what is called; compiled or not.
        bare: the network that has the parameters.
        is_bf16: whether it runs in bf16 autocast.
    """

    network: nn.Module
    bare: nn.Module
    images: Tensor
    targets: Tensor
    loss: nn.Module
    is_bf16: bool = False
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.bare.parameters(), lr=1e-4)

    def backward(self) -> None:
        """Compute the gradients; several outputs count alike."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.is_bf16):
            outputs = self.network(self.images)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            # The loss is nnU-Net's own and stays eager, as in a training.
            losses = [self.loss(output, _resized(self.targets, output.shape[2:])) for output in outputs]
        sum(losses).backward()

    def training(self) -> None:
        """Train on the images."""
        self.backward()
        self.optimizer.step()

    @torch.no_grad()
    def evaluation(self) -> Tensor:
        """Return the logits of the highest resolution."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.is_bf16):
            outputs = self.network(self.images)
        logits: Tensor = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        return logits

    def result(self, kind: str) -> list[Tensor]:
        """Return what is compared between ways: gradients, or logits."""
        # What a network drops by chance is the same in all ways.
        torch.manual_seed(0)
        if kind == "evaluation":
            return [self.evaluation().float()]
        self.backward()
        return [torch.zeros(1) if p.grad is None else p.grad.float() for p in self.bare.parameters()]


def _resized(targets: Tensor, shape: torch.Size) -> Tensor:
    return targets if targets.shape[2:] == shape else nn.functional.interpolate(targets, tuple(shape))


def difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest difference, divided by the largest expected value."""
    largest = max(float(tensor.abs().max()) for tensor in expected)
    return max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True)) / largest


def figures_of(name: str, batch: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a network's figures as they are found: each has its kind."""
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    from nnunet_mamba import create_network
    from nnunet_mamba.presets import PRESETS

    overrides = {"input_size": (SIDE, SIDE)} if "input_size" in PRESETS[name].size(2).arguments else {}
    torch.manual_seed(0)
    original = create_network(name, CHANNELS, CLASSES, **overrides)
    parameters = sum(parameter.numel() for parameter in original.parameters())
    batch = batch or (BATCH_OF_LARGE if parameters > LARGE else BATCH)
    images = torch.randn(batch, CHANNELS, SIDE, SIDE)
    targets = (torch.rand(batch, 1, SIDE, SIDE) > 0.5).float()
    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    loss = DC_and_CE_loss(dice, {}, dice_class=MemoryEfficientSoftDiceLoss)

    def runner(kind: str, *, is_bf16: bool = False, is_compiled: bool = False) -> Runner:
        bare = deepcopy(original).train(kind == "training")
        network: Any = torch.compile(bare) if is_compiled else bare
        return Runner(network, bare, images, targets, loss, is_bf16)

    for kind in KINDS:
        yield {"kind": kind, "parameters": parameters, "batch": batch}
        eager = runner(kind)
        expected = eager.result(kind)
        ways = {"eager": eager, "bf16": runner(kind, is_bf16=True)} if cpu_multiplies_bf16() else {"eager": eager}
        if "bf16" in ways:
            yield {"kind": kind, "bf16_difference": difference(ways["bf16"].result(kind), expected)}
        found = medians({way: (getattr(one, kind), 1) for way, one in ways.items()}, repeats)
        yield {"kind": kind, **{f"{way}_ms": ms for way, ms in found.items()}}
    if not has_compiler():
        return
    for kind in KINDS:
        yield from _compiled(kind, runner(kind), runner(kind, is_compiled=True), repeats)


def _compiled(kind: str, eager: Runner, compiled: Runner, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield what compiling takes and gives; the eager network runs again, in turns with the compiled one."""
    from torch._dynamo.utils import counters
    from torch._inductor import config

    # Eager's random numbers, so that gradients can be compared.
    config.fallback_random = True
    counters.clear()
    expected = eager.result(kind)
    start = time.perf_counter()
    found = compiled.result(kind)
    first = time.perf_counter() - start
    yield {"kind": kind, "breaks": sum(counters["graph_break"].values())}
    yield {"kind": kind, "compiled_difference": difference(found, expected)}
    times = medians({"eager": (getattr(eager, kind), 1), "compiled": (getattr(compiled, kind), 1)}, repeats)
    compile_s = first - times["compiled"] / 1e3
    yield {
        "kind": kind,
        "compiled_ms": times["compiled"],
        "eager/compiled": times["eager"] / times["compiled"],
        "compile_s": compile_s,
        "pays": "yes" if compile_s < (times["eager"] - times["compiled"]) / 1e3 * STEPS_THAT_PAY else "no",
    }


def measured_apart(name: str, *, batch: int, repeats: int, limit: float) -> dict[str, dict[str, Any]]:
    """Return the figures of a network by kind, as far as a process of its own found them within the limit.

    Args:
        name: of the network.
        batch: images; 0 for what its size asks for.
        repeats: runs whose median counts.
        limit: seconds.
    """
    command = [sys.executable, __file__, "--figures-of", name, "--batch", str(batch), "--repeats", str(repeats)]
    with tempfile.TemporaryDirectory(prefix="cpu_compile_") as folder:
        answers, errors = Path(folder, "answers"), Path(folder, "errors")
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": folder}
        with answers.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)
            note = ""
            try:
                if process.wait(limit):
                    note = f"ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                note = f"not done after {limit:g} s"
            finally:
                # The compiler's processes too, which may outlive their parent.
                _end(process)
        rows: dict[str, dict[str, Any]] = {kind: {"network": name, "kind": kind, "note": note} for kind in KINDS}
        for line in answers.read_text().splitlines():
            found = json.loads(line)
            rows[found["kind"]] |= found
        if note.startswith("ended"):
            print(f"{name}:", *errors.read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr)
    for row in rows.values():
        if "bf16_ms" in row:
            row["eager/bf16"] = row["eager_ms"] / row["bf16_ms"]
    return rows


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def line_of(row: dict[str, Any]) -> str:
    """Return a row of the table; what was not measured is empty."""
    styles = {"ms": ".1f", "s": ".1f", "difference": ".1e"}

    def text(column: str) -> str:
        value = row.get(column, "")
        return format(value, styles.get(column.rpartition("_")[2], ".2f")) if isinstance(value, float) else str(value)

    return ",".join(map(text, COLUMNS))


def main() -> None:
    """Print the table."""
    from nnunet_mamba.bundled import trainer_names
    from nnunet_mamba.planning.trainer_lookup import trainer_class

    presets = (trainer_class(name).preset for name in trainer_names())
    known = list(dict.fromkeys(preset.name for preset in presets if 2 in preset.spatial_dims))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=known, choices=known, metavar="NAME", help="that are measured")
    parser.add_argument("--repeats", type=int, default=5, help="runs whose median counts")
    parser.add_argument("--limit", type=float, default=600, help="seconds for each network")
    parser.add_argument("--batch", type=int, default=0, help="images; 8 or 2 by the network's size if left out")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    print(machine())
    print(f"load_at_start,{os.getloadavg()[0]:.2f}")
    print(f"bf16_products,{'yes' if cpu_multiplies_bf16() else 'no'}")
    print(f"c++_compiler,{'yes' if has_compiler() else 'no'}")
    print(",".join(COLUMNS), flush=True)
    for name in options.networks:
        rows = measured_apart(name, batch=options.batch, repeats=options.repeats, limit=options.limit)
        print(*map(line_of, rows.values()), sep="\n", flush=True)


def print_figures() -> None:
    """Print the figures of one network as lines of JSON, in the process that is its own."""
    parser = argparse.ArgumentParser()
    for option, kind in (("--figures-of", str), ("--batch", int), ("--repeats", int)):
        parser.add_argument(option, type=kind)
    options = parser.parse_args()
    for found in figures_of(options.figures_of, options.batch, options.repeats):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    if "--figures-of" in sys.argv:
        print_figures()
    else:
        main()
