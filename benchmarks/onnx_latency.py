"""Exported networks against torch: seconds of an export, size, error, memory, and milliseconds for one image.

    python benchmarks/onnx_latency.py [NETWORK ...] [--size 256] [--runs 10]

Networks have new weights: time and size do not depend on them. One image, one thread: torch and onnxruntime in turns,
what predicts a photograph in memory with the file, from its pixels to its label map, and onnxruntime-web in headless
Chromium where chromium, chromedriver and selenium are installed. Seconds of the export are the processor's, which
other programs disturb less than the clock, and include the gate's. Memory is the most that a new process takes that
loads the network and runs it once, imports and all (Linux), and in the browser that of WebAssembly.
"""

import argparse
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chromium_runs.onnx_file import InBrowser, browser, timed
from onnx_latencies.memory import megabytes
from onnx_latencies.untrained import N_CHANNELS, untrained
from timing import machine, medians

from nnunet_mamba import list_networks
from nnunet_mamba.export.onnx_export import write_onnx
from nnunet_mamba.onnx_models.session import OnnxSession
from nnunet_mamba.onnx_models.sidecar import read_onnx_file
from nnunet_mamba.prediction.onnx_engine import OnnxEngine
from nnunet_mamba.presets import PRESETS

COLUMNS = (
    *("network", "parameters", "export s", "file MB", "error", "torch ms", "onnxruntime ms", "ratio"),
    *("predict ms", "ratio", "browser ms", "torch MB", "onnxruntime MB", "browser MB"),
)
NOTHING = "–"


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    in_2d = [name for name in list_networks() if 2 in PRESETS[name].spatial_dims]
    parser.add_argument("networks", nargs="*", default=in_2d, metavar="NETWORK", help="all in 2D if left out")
    parser.add_argument("--size", type=int, default=256, help="pixels along both axes")
    parser.add_argument("--runs", type=int, default=10, help="to take medians of")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    packages = ("onnx", "onnxscript", "onnxruntime")
    print(machine())
    print(*(f"{name} {version(name)}" for name in packages))
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as driver:
        if driver is not None:
            print("chromium", driver.capabilities["browserVersion"])
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for name in arguments.networks:
            cells = measured(name, Path(folder), driver, size=arguments.size, runs=arguments.runs)
            print(f"| {' | '.join(cells)} |", flush=True)


def measured(name: str, folder: Path, driver: Any, *, size: int, runs: int) -> list[str]:
    """Export a network and return the cells of its line.

    Args:
        name: of the network.
        folder: that ``driver`` is served.
        driver: of ``browser``.
        size: pixels along both axes.
        runs: to take medians of.
    """
    torch.manual_seed(0)
    subject = untrained(name, size)
    image = torch.rand(1, N_CHANNELS, size, size) * 255
    file = folder / f"{name}.onnx"
    start = time.process_time()
    try:
        written = write_onnx(subject, file)
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return [name, f"{subject.n_parameters:,}", "refused", *[NOTHING] * (len(COLUMNS) - 3)]
    seconds = time.process_time() - start
    session, pixels = OnnxSession(file, n_threads=1), image.numpy()
    engine = OnnxEngine(read_onnx_file(file), subject.plan, mirror_axes=(), n_threads=1)
    photograph = pixels[0][:, None].astype(np.uint8)
    with torch.inference_mode():
        tasks = {
            "torch": (lambda: subject.networks[0](image), 1),
            "onnx": (lambda: session.run(pixels), 1),
            "predict": (lambda: label_map(engine, photograph), 1),
        }
        found = medians(tasks, runs)
    web = in_browser(driver, file.name, size=size, runs=runs)
    cells = [
        *(name, f"{subject.n_parameters:,}", f"{seconds:.1f}", f"{written.n_bytes / 1e6:.2f}"),
        *(f"{written.worst.relative_error:.0e}", f"{found['torch']:.1f}", f"{found['onnx']:.1f}"),
        *(f"{found['onnx'] / found['torch']:.2f}", f"{found['predict']:.1f}"),
        *(f"{found['predict'] / found['torch']:.2f}", rounded(None if web is None else web.run_ms)),
        *(rounded(megabytes(way, file, pixels)) for way in (name, "onnx")),
        rounded(None if web is None else web.megabytes),
    ]
    file.unlink()
    return cells


def rounded(value: float | None) -> str:
    """Return a cell of whole numbers."""
    return NOTHING if value is None else f"{value:.0f}"


def in_browser(driver: Any, name: str, *, size: int, runs: int) -> InBrowser | None:
    """Return what a file takes in the browser; None where there is none, or where it does not run, which is told."""
    if driver is None:
        return None
    found = timed(driver, name, size=size, runs=runs)
    if isinstance(found, str):
        print(f"{name} in Chromium: {found}", file=sys.stderr)
        return None
    return found


def label_map(engine: OnnxEngine, photograph: np.ndarray) -> np.ndarray:
    """Return what is predicted of an image, (c, 1, h, w)."""
    found = engine.segment([engine.prepare(photograph, (999.0, 1.0, 1.0))], with_probabilities=False)
    return engine.bring_back(found[0], with_probabilities=False)[0]


if __name__ == "__main__":
    main()
