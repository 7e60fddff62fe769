"""No network may leave the finite numbers under the autocast of nnU-Net, learning rates that are too high included.

CPU autocast computes in the same formats as CUDA's: fp16 ends at 65504 here as there.
"""

import pytest
import torch

from nnunet_mamba.networks.catalogue import create_network

SMALL_STAGES = {
    "features_per_stage": (8, 16, 32),
    "kernel_sizes": ((3, 3),) * 3,
    "strides": ((1, 1), (2, 2), (2, 2)),
    "n_conv_per_stage": (2, 2, 2),
    "n_conv_per_stage_decoder": (2, 2),
}
NETWORKS = {
    "ultralight_vm_unet": {},
    "ultralbm_unet": {},
    "ultralbm_unet_t": {},
    "vm_unet": {"dims": (12, 24, 48, 96)},
    "u_mamba_bot": SMALL_STAGES,
    "u_mamba_enc": {**SMALL_STAGES, "input_size": (32, 32)},
    "u_mamba_bot_pp": SMALL_STAGES,
}


def images(scale):
    """Two normalised images with outliers, as a bright tooth filling leaves them."""
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2, 3, 32, 32, generator=generator)
    data[:, :, 20:24, 20:24] = scale
    return data, torch.randint(0, 2, (2, 32, 32), generator=generator)


def train(network, dtype, *, n_steps, learning_rate, scale):
    """Take nnU-Net's training steps; return the losses, and the logits of a validation after them."""
    data, target = images(scale)
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.99, nesterov=True)
    scaler = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16)
    losses = []
    for _ in range(n_steps):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype):
            output = network(data)
            logits = output[0] if isinstance(output, (list, tuple)) else output
            loss = torch.nn.functional.cross_entropy(logits.float(), target)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
        output = network(data)
    return losses, output[0] if isinstance(output, (list, tuple)) else output


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_and_validation_stay_finite(name, dtype):
    torch.manual_seed(0)
    network = create_network(name, 3, 2, **NETWORKS[name])
    losses, logits = train(network, dtype, n_steps=3, learning_rate=0.1, scale=50.0)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ultralight_vm_unet"])
def test_two_hundred_steps_at_a_high_learning_rate_stay_finite_in_fp16(name):
    torch.manual_seed(0)
    network = create_network(name, 3, 2, **NETWORKS[name])
    losses, logits = train(network, torch.float16, n_steps=200, learning_rate=0.1, scale=10.0)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert torch.isfinite(logits).all()
