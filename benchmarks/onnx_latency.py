"""Exported networks against torch: seconds of an export, size of the file, error, and milliseconds for one image.

python benchmarks/onnx_latency.py [NETWORK ...]

Networks have new weights: time and size do not depend on them. One image, one thread, torch and onnxruntime in turns,
and what predicts a photograph in memory with the file, from its pixels to its label map.
Seconds of the export are the processor's, which other programs disturb less than the clock, and include the gate's.
"""

import argparse
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from timing import machine, medians

from nnunet_mamba import create_network, list_networks
from nnunet_mamba.export.onnx_export import write_onnx
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.onnx_models.session import OnnxSession
from nnunet_mamba.onnx_models.sidecar import read_onnx_file
from nnunet_mamba.prediction.onnx_engine import OnnxEngine
from nnunet_mamba.prediction.plan import Heads, Normalization, PredictionPlan
from nnunet_mamba.presets import PRESETS

RUNS = 10
N_CHANNELS, N_HEADS = 3, 1


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    in_2d = [name for name in list_networks() if 2 in PRESETS[name].spatial_dims]
    parser.add_argument("networks", nargs="*", default=in_2d, metavar="NETWORK", help="all in 2D if left out")
    parser.add_argument("--size", type=int, default=256, help="pixels along both axes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    packages = ("onnx", "onnxscript", "onnxruntime")
    print(machine())
    print(*(f"{name} {version(name)}" for name in packages))
    columns = "network                  parameters  export s  file MB  error/largest  torch ms  onnx ms   ratio"
    print(f"{columns}  predict ms   ratio")
    for name in arguments.networks:
        print(measured(name, arguments.size), flush=True)


def measured(name: str, size: int) -> str:
    """Export a network and return a line of the table."""
    torch.manual_seed(0)
    subject = untrained(name, size)
    image = torch.rand(1, N_CHANNELS, size, size) * 255
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        start = time.process_time()
        try:
            written = write_onnx(subject, file)
        except ValueError as error:
            return f"{name:24} {subject.n_parameters:10}  refused: {error}"
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
            found = medians(tasks, RUNS)
    return (
        f"{name:24} {subject.n_parameters:10}  {seconds:8.1f}  {written.n_bytes / 1e6:7.3f}  "
        f"{written.worst.relative_error:13.1e}  {found['torch']:8.1f}  {found['onnx']:7.1f}  "
        f"{found['onnx'] / found['torch']:6.2f}  {found['predict']:10.1f}  {found['predict'] / found['torch']:6.2f}"
    )


def label_map(engine: OnnxEngine, photograph: np.ndarray) -> np.ndarray:
    """Return what is predicted of an image, (c, 1, h, w)."""
    found = engine.segment([engine.prepare(photograph, (999.0, 1.0, 1.0))], with_probabilities=False)
    return engine.bring_back(found[0], with_probabilities=False)[0]


def untrained(name: str, size: int) -> ExportSubject:
    """Return a network with new weights, as if nnU-Net had planned it for photographs."""
    tied = {"input_size": (size, size)} if name == "u_mamba_enc" else {}
    network = create_network(name, N_CHANNELS, N_HEADS, **tied).eval().requires_grad_(False)
    plan = PredictionPlan(
        configuration="2d",
        patch_size=(size, size),
        spacing=(1.0, 1.0),
        transpose_forward=(0, 1, 2),
        normalizations=(Normalization(scheme="ZScoreNormalization"),) * N_CHANNELS,
        heads=Heads(n_heads=N_HEADS, region_values=(1,)),
        needs_nnunet=None,
    )
    facts = {
        "format": 1,
        "name": name,
        "outputs": {"has_regions": True},
        "normalization": {"is_inside": True, "cuts_margin": True},
        "versions": {"nnunet-mamba": version("nnunet-mamba")},
    }
    return ExportSubject(
        networks=(network,), plan=plan, normalises=True, sees_whole_images=True, size=(size, size), facts=facts
    )


if __name__ == "__main__":
    main()
