"""How much memory a process takes that loads a network and runs it on one image. Linux only."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

# Its arguments: onnx, or the name of a network for torch; the file; pixels along an axis.
_MEASURE = """
import numpy as np
from pathlib import Path

way, file, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
image = np.load(file + ".npy")
if way == "onnx":
    from nnunet_mamba.onnx_models.session import OnnxSession
    OnnxSession(Path(file), n_threads=1).run(image)
else:
    import torch
    from onnx_latencies.untrained import untrained
    torch.set_num_threads(1)
    with torch.inference_mode():
        untrained(way, size).networks[0](torch.from_numpy(image))
# Not getrusage's, which is the caller's where that had more.
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6)
"""


def megabytes(way: str, file: Path, image: np.ndarray) -> float | None:
    """Return the most memory that a new process took, imports and all, in MB; None on other systems.

    Args:
        way: ``onnx``, or the name of a network that torch runs.
        file: of the exported network.
        image: (1, c, h, w).

    Raises:
        RuntimeError: the process failed; the text has what it printed.
    """
    if not sys.platform.startswith("linux"):
        return None
    np.save(f"{file}.npy", image)
    benchmarks = Path(__file__).resolve().parents[1]
    path = f"import sys; sys.path[:0] = {json.dumps([str(benchmarks), str(benchmarks.parent)])}\n"
    command = [sys.executable, "-c", path + _MEASURE, way, str(file), str(image.shape[-1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring the memory of {way} failed:\n{done.stderr}")
    return float(done.stdout)
