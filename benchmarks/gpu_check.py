"""Check a GPU in one command: what runs on it, whether it is right, and how fast it is.

    python benchmarks/gpu_check.py [--device cuda|cpu] [--dry-run] [--parts a,b] [--minutes 8] [--output FILE]

Prints one table and writes it, with what does not fit into it, as JSON. Runs from a checkout with torch, triton and
numba alone; the parts that train with nnU-Net are skipped where nnunetv2 is not installed. Each part runs in a process
of its own and has a share of the time; what it does not use is left to the parts after it. The exit status is 1 if a
row is WRONG or crashed, 2 if nothing can be checked as asked, 0 else.
"""

import argparse
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parents[1]
# A plain checkout is not installed, and an installed copy, which Python has imported at its start, may be another one.
sys.path[:0] = [str(CHECKOUT / "benchmarks"), str(CHECKOUT)]
if CHECKOUT not in Path(getattr(sys.modules.get("nnunet_mamba"), "__file__", None) or CHECKOUT / "none").parents:
    for name in [name for name in sys.modules if name.partition(".")[0] == "nnunet_mamba"]:
        del sys.modules[name]

from gpu_checks.checks import Setting  # noqa: E402
from gpu_checks.rows import Report  # noqa: E402
from gpu_checks.supervision import Part, environment, run_part  # noqa: E402

PARTS = (
    Part("machine", "gpu_checks.machine_and_backends", share=4),
    Part("accuracy", "gpu_checks.scan_accuracy", share=14),
    Part("large", "gpu_checks.large_tensors", share=5),
    Part("kernels", "gpu_checks.kernel_times", share=7),
    Part("fused", "gpu_checks.fused_operators", share=6),
    Part("networks", "gpu_checks.network_steps", share=16),
    Part("streams", "gpu_checks.graphs_and_streams", share=4),
    Part("planning", "gpu_checks.planned_batch", share=14, needs="nnunetv2"),
    Part("trainers", "gpu_checks.trainers", share=14, needs="nnunetv2"),
)
# Time for a part that only says that it has to be skipped.
_SHARE_OF_SKIPPED = 1
MINUTES = 8.0
# On a CPU whose kernels are not compiled yet, a limit should end only what hangs.
MINUTES_OF_DRY_RUN = 60.0
OUTPUT = Path("gpu_check.json")
# Longer than importing torch takes on a slow disk.
_IMPORT_LIMIT_S = 180


def _parts(text: str) -> list[Part]:
    known = {part.name: part for part in PARTS}
    asked = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        found = f"there is no part {unknown[0]!r}" if unknown else "it names no part"
        raise argparse.ArgumentTypeError(f"{found}; choose from {', '.join(known)}, with commas between them")
    return [part for part in PARTS if part.name in asked]


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of minutes; pass 8, for example")
    return minutes


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda; a CPU gets tiny shapes")
    parser.add_argument("--dry-run", action="store_true", help="run every part on the CPU, as fast as it goes")
    names = ", ".join(part.name for part in PARTS)
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"some of {names} (default: all)")
    minutes = f"for all parts (default: {MINUTES:g}, in a dry run {MINUTES_OF_DRY_RUN:g})"
    parser.add_argument("--minutes", type=_minutes, help=minutes)
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"JSON file (default: {OUTPUT})")
    options = parser.parse_args(arguments)
    if options.dry_run and options.device == "cuda":
        parser.error("argument --dry-run: runs on the CPU; leave out --device cuda")
    if options.output.is_dir():
        parser.error(f"argument --output: {options.output} is a folder; name a file in it")
    options.minutes = options.minutes or (MINUTES_OF_DRY_RUN if options.dry_run else MINUTES)
    return options


def cuda_problem() -> str | None:
    """Return why torch cannot use a CUDA device, or None; asked in a process that may crash."""
    code = "import torch; print('cuda:', torch.cuda.is_available(), torch.__version__)"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            timeout=_IMPORT_LIMIT_S,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        return f"torch does not answer within {_IMPORT_LIMIT_S} s"
    answer = next((line for line in asked.stdout.splitlines() if line.startswith("cuda: ")), None)
    if answer is None:
        last = (asked.stderr.strip().splitlines() or [f"exit status {asked.returncode}"])[-1]
        return f"torch cannot be imported: {last}"
    _, available, version = answer.split()
    return None if available == "True" else f"torch {version} finds no CUDA device"


def run(parts: list[Part], setting: Setting, *, seconds: float, report: Report) -> None:
    """Run the parts one after the other; each may take its share of the time that is left."""
    end = time.monotonic() + seconds
    shares = [part.share if part.has_what_it_needs() else _SHARE_OF_SKIPPED for part in parts]
    for index, part in enumerate(parts):
        share = shares[index] / sum(shares[index:])
        run_part(part, setting, seconds=share * (end - time.monotonic()), on_row=report.add)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Check, and return the exit status."""
    options = parse(arguments)
    device = "cpu" if options.dry_run else options.device or "cuda"
    problem = cuda_problem() if device == "cuda" else None
    if problem:
        print(f"{problem}, so there is nothing to check. --dry-run shows the table on a CPU.", file=sys.stderr)
        return 2 if options.device else 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    asked = {"device": device, "dry_run": options.dry_run, "parts": [part.name for part in options.parts]}
    try:
        report = Report(options.output, {**asked, "minutes": options.minutes, "began": time.strftime("%FT%T%z")})
    except OSError as error:
        print(f"--output {options.output}: cannot be written: {error.strerror}; name another file", file=sys.stderr)
        return 2
    began = time.monotonic()
    report.begin()
    try:
        run(options.parts, Setting(device, options.dry_run), seconds=60 * options.minutes, report=report)
    except KeyboardInterrupt:
        print(f"Interrupted. {options.output} has what came before.", file=sys.stderr)
        return 130
    report.finish()
    print(f"{time.monotonic() - began:.0f} s; everything is in {options.output}")
    return int(any(row.is_failure for row in report.rows))


if __name__ == "__main__":
    sys.exit(main())
