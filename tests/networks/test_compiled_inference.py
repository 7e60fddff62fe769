"""torch.compile's graph of a network gives the eager logits at other sizes than it was made for."""

import pytest
import torch

from nnunet_mamba import create_network, list_networks

# Small, but with every part; one of each class is compiled in every run of the tests, the others are slow.
QUICK = ("ultralight_vm_unet", "ultralbm_unet", "vm_unet", "u_mamba_bot", "u_mamba_enc", "u_mamba_bot_pp")
VM_UNET = {"dims": (8, 16), "depths": (1, 1), "depths_decoder": (1, 1)}
U_MAMBA = {"features_per_stage": (8, 16), "strides": (1, 2), "kernel_sizes": 3}
COMPACT = {"channels": (8, 8, 8, 8)}
# None is a multiple of the total stride, or torch would compile a second graph, for images that are not padded.
SIZES = [(2, 33, 47), (3, 50, 30), (3, 17, 65), (2, 71, 19)]


def _small(name):
    if name.startswith("vm_unet"):
        return VM_UNET
    if name.startswith("u_mamba"):
        return {**U_MAMBA, "input_size": (33, 47)} if name == "u_mamba_enc" else U_MAMBA
    return COMPACT


@pytest.fixture
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def _assert_equal(network, backend, sizes):
    compiled = torch.compile(network, backend=backend)
    first = torch.randn(sizes[0][0], 3, *sizes[0][1:])
    for axis in (0, 2, 3) if len({size[1:] for size in sizes}) > 1 else (0,):
        torch._dynamo.mark_dynamic(first, axis)
    with torch.inference_mode():
        for images in (first, *(torch.randn(b, 3, *size) for b, *size in sizes[1:])):
            torch.testing.assert_close(compiled(images), network(images), rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in list_networks()]
)
def test_a_compiled_network_equals_the_eager_one_at_every_size(name):
    torch.manual_seed(0)
    network = create_network(name, 3, 2, **_small(name)).eval()
    _assert_equal(network, "aot_eager", [(2, 33, 47), (3, 33, 47)] if name == "u_mamba_enc" else SIZES)


@pytest.mark.slow
@pytest.mark.usefixtures("_fresh_compiler")
def test_the_same_with_inductor():
    torch.manual_seed(0)
    _assert_equal(create_network("ultralight_vm_unet", 3, 2, **COMPACT).eval(), "inductor", SIZES)
