import subprocess
import sys

import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.blocks.vim_mixer import VimMixer

# What torch warns of, that sizes become numbers, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
SMALL = {
    "vm_unet": {"dims": (8, 16), "depths": (1, 1), "depths_decoder": (1, 1)},
    "vmamba_tiny": {"dims": (8, 16), "depths": (1, 1)},
    "vim_tiny": {"image_size": (16, 24), "patch_size": 8, "d_model": 16, "depth": 2},
}


@pytest.fixture
def traced():
    def trace(name="vm_unet", **options):
        torch.manual_seed(0)
        network = create_network(name, 3, 2, **SMALL[name], **options).eval()
        return torch.jit.trace(network, torch.randn(1, 3, 16, 24), check_trace=False), network

    with torch.no_grad():
        yield trace


@pytest.mark.parametrize(
    "change",
    [lambda x: x, torch.jit.freeze, torch.jit.optimize_for_inference],
    ids=["as it is", "frozen", "optimised"],
)
def test_a_trace_refuses_other_sizes_and_autocast_at_every_call(traced, change):
    recorded = change(traced()[0])
    for _ in range(3):
        recorded(torch.randn(2, 3, 16, 24))
        with pytest.raises(torch.jit.Error, match=r"of shape \(b, 3, 16, 25\), but .* for \(b, 3, 16, 24\) alone"):
            recorded(torch.randn(1, 3, 16, 25))
        with (
            torch.autocast("cpu", dtype=torch.bfloat16),
            pytest.raises(torch.jit.Error, match=r"VMUNet: autocast is on, and .* trace and call the network outside"),
        ):
            recorded(torch.randn(1, 3, 16, 24))


def test_a_trace_without_state_spaces_may_be_called_under_autocast(traced):
    recorded, network = traced(scan=False)
    images = torch.randn(1, 3, 16, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(recorded(images).float(), network(images).float(), rtol=0.1, atol=0.1)


def test_tracing_under_autocast_is_refused(traced):
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(torch.jit.Error, match=r"VMUNet: autocast is on, and .* trace and call the network outside"),
    ):
        traced()


@pytest.mark.parametrize("name", ["vmamba_tiny", "vim_tiny"])
def test_a_classifier_is_held_to_its_trace_too(traced, name):
    recorded, network = traced(name)
    images = torch.randn(3, 3, 16, 24)
    torch.testing.assert_close(recorded(images), network(images), rtol=1e-4, atol=1e-4)
    with pytest.raises(torch.jit.Error, match=f"{type(network).__name__}: images of shape"):
        recorded(images[..., :-1])
    with pytest.raises(NotImplementedError, match=rf"^{type(network).__name__}: torch\.jit\.script cannot compile it"):
        torch.jit.script(network)


def test_another_process_needs_the_operators_alone(traced, tmp_path):
    recorded, network = traced()
    torch.jit.save(recorded, tmp_path / "network.pt")
    images = torch.linspace(-1, 1, 2 * 3 * 16 * 24).reshape(2, 3, 16, 24)
    script = (
        "import sys, torch, nnunet_mamba.ops\n"
        f"network = torch.jit.load({str(tmp_path / 'network.pt')!r})\n"
        f"images = torch.linspace(-1, 1, 2 * 3 * 16 * 24).reshape(2, 3, 16, 24)\n"
        "with torch.no_grad(): print(float(network(images).abs().sum()))\n"
        "assert not any(name.startswith('nnunet_mamba.networks') for name in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(float(network(images).abs().sum()), rel=1e-4)


def test_a_trace_has_gradients():
    torch.manual_seed(0)
    block, x = SS2D(4, d_state=2).double(), torch.randn(1, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    recorded = torch.jit.trace(block, x)
    ours, theirs = (torch.autograd.grad(module(x).square().sum(), x)[0] for module in (recorded, block))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("block", [Mamba(4), SS2D(4), VimMixer(4)], ids=lambda block: type(block).__name__)
def test_a_script_of_a_block_is_refused(block):
    with pytest.raises(
        NotImplementedError, match=rf"^{type(block).__name__}: torch.jit.script cannot compile it; use "
    ):
        torch.jit.script(torch.nn.Sequential(block))
