import json
import os
import subprocess
import sys

import pytest
import torch

from nnunet_mamba.ops import warm as warming
from nnunet_mamba.ops.scan import op
from nnunet_mamba.ops.scan.backends import BACKENDS
from nnunet_mamba.ops.warm import warm


@pytest.fixture
def calls(monkeypatch):
    """The operators that are called: name, whether with a gate, whether for gradients; then whether those came."""
    noted = []

    def note(name):
        operator = getattr(warming, name)

        def run(**operands):
            y = operator(**operands)
            call = (name, "z" in operands and operands["delta_softplus"], y.requires_grad)
            noted.append(call)
            if y.requires_grad:
                y.register_hook(lambda gradient: noted.append((*call, "backward")))
            return y

        monkeypatch.setattr(warming, name, run)

    for name in ("selective_scan", "mamba_mixer", "cross_scan", "pooled_group_norm"):
        note(name)
    return noted


@pytest.mark.parametrize("d_state", [1, 16, 64])
def test_runs_every_operator_both_ways_and_the_scan_with_and_without_a_gate(calls, d_state):
    variants = [("selective_scan", False), ("selective_scan", True), ("mamba_mixer", False), ("cross_scan", False)]
    variants.append(("pooled_group_norm", False))
    with torch.no_grad():  # gradients are computed all the same
        warm(d_state=d_state)
    assert calls == [(*v, *way) for v in variants for way in ((False,), (True,), (True, "backward"))]


def test_every_public_operator_is_warmed():
    import nnunet_mamba.ops

    assert all(hasattr(warming, name) for name in nnunet_mamba.ops.__all__)


def test_runs_on_a_device_and_in_a_dtype(monkeypatch):
    seen = set()

    def choose_backend(u):
        seen.add((u.device.type, u.dtype))
        return BACKENDS["reference"]

    monkeypatch.setattr(op, "choose_backend", choose_backend)
    warm("cpu", torch.float64)
    assert seen == {("cpu", torch.float64)}


@pytest.mark.slow
def test_a_training_and_a_prediction_compile_nothing_after_it(tmp_path):
    code = """
import json, torch
from numba.core import event
import nnunet_mamba
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.ops.warm import warm

started = []

class Listener(event.Listener):
    def on_start(self, happened):
        started.append(str(happened))

    def on_end(self, happened):
        pass

for kind in ("numba:compile", "numba:run_pass"):
    event.register(kind, Listener())
warm()
n_warming = len(started)
network = nnunet_mamba.create_network("ultralight_vm_unet", input_channels=3, num_classes=2)
for size in (64, 96):
    network(torch.randn(2, 3, size, size)).sum().backward()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(1, 3, size, size))
wide, ss2d = Mamba(d_model=96), SS2D(16)
wide(torch.randn(1, 130, 96)).sum().backward()
ss2d(torch.randn(1, 9, 11, 16)).sum().backward()
print(json.dumps([n_warming, started[n_warming:]]))
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "NNUNET_MAMBA"))}
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "XDG_CACHE_HOME": str(tmp_path), "NNUNET_MAMBA_NO_STARTUP": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    n_warming, later = json.loads(process.stdout.splitlines()[-1])
    assert n_warming > 0
    assert later == []
