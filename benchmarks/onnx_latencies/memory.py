"""How much memory a process needs for one image, beyond what it has after its imports. Linux only."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

# Its arguments: torch or onnx, the file, pixels along an axis. VmHWM is the most that was in memory so far.
_MEASURE = """
import sys
import numpy as np
from pathlib import Path

def resident(kind):
    if kind == "VmRSS:":
        # What was in memory once is forgotten: VmHWM begins anew.
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024

way, file, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
image = np.load(file + ".npy")
if way == "onnx":
    import onnxruntime
    from nnunet_mamba.onnx_models.session import OnnxSession
    before = resident("VmRSS:")
    OnnxSession(Path(file), n_threads=1).run(image)
else:
    import torch
    from onnx_latencies.untrained import untrained
    torch.set_num_threads(1)
    # The kernels of the scan are compiled, or read, by the first pass.
    untrained("ultralight_vm_unet", 64).networks[0](torch.zeros(1, 3, 64, 64))
    before = resident("VmRSS:")
    with torch.inference_mode():
        untrained(way, size).networks[0](torch.from_numpy(image))
print(resident("VmHWM:") - before)
"""


def megabytes(way: str, file: Path, image: np.ndarray) -> float:
    """Return the most memory that loading a network and one pass took, in MB.

    Args:
        way: ``onnx``, or the name of a network that torch runs.
        file: of the exported network.
        image: (1, c, h, w).

    Raises:
        RuntimeError: the process failed; the text has what it printed.
    """
    np.save(f"{file}.npy", image)
    folder = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {json.dumps([str(folder), str(folder.parent)])}"]
    command[-1] += _MEASURE
    done = subprocess.run([*command, way, str(file), str(image.shape[-1])], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring the memory of {way} failed:\n{done.stderr}")
    return float(done.stdout)
