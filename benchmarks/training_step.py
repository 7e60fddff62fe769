"""Measure a training step on the CPU: UltraLight VM-UNet against nnU-Net's own U-Net, and what a busy core does to it.

    python benchmarks/training_step.py

Each row is a process of its own, because OpenMP reads its variables once: a network, an OMP_WAIT_POLICY, and whether
another process keeps one core busy meanwhile. Prints comma-separated medians; only rows of one run are comparable.
"""

import os
import platform
import statistics
import subprocess
import sys
import time

BATCH, SIDE = 14, 256
# nnU-Net's plan for 256×256 images.
STOCK_FEATURES = (32, 64, 128, 256, 512, 512, 512)
ROWS = (  # network, wait policy (empty: OpenMP's default), busy core, steps
    ("ultralight_vm_unet", "", False, 9),
    ("nnunet_plain_unet", "", False, 2),
    ("ultralight_vm_unet", "passive", False, 9),
    ("ultralight_vm_unet", "", True, 9),
    ("ultralight_vm_unet", "passive", True, 9),
)


def measure(network_name: str, steps: int) -> None:
    """Print the median seconds of a forward and backward pass, in a fresh process."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    from nnunet_mamba import create_network

    if network_name == "nnunet_plain_unet":
        n = len(STOCK_FEATURES)
        network: torch.nn.Module = PlainConvUNet(
            *(3, n, STOCK_FEATURES, torch.nn.Conv2d, 3, (1, *[2] * (n - 1)), 2, 2, 2, True),
            norm_op=torch.nn.InstanceNorm2d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=torch.nn.LeakyReLU,
        )
    else:
        network = create_network(network_name, input_channels=3, num_classes=2)
    images = torch.randn(BATCH, 3, SIDE, SIDE)
    seconds = []
    for _ in range(1 + steps):
        network.zero_grad()
        start = time.perf_counter()
        network(images).square().mean().backward()
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds[1:]))


def main() -> None:
    """Run every row and print the table."""
    import numba
    import torch

    print("machine,cores,threads,python,torch,numba,batch,side")
    machine = (platform.machine(), os.cpu_count(), torch.get_num_threads(), platform.python_version())
    print(*machine, torch.__version__, numba.__version__, BATCH, SIDE, sep=",")
    print("network,wait_policy,one_core_busy,seconds_per_step,ratio_to_first", flush=True)
    first = None
    for network, policy, is_busy, steps in ROWS:
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        if policy:
            environment["OMP_WAIT_POLICY"] = policy
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if is_busy else None
        try:
            command = [sys.executable, __file__, network, str(steps)]
            seconds = float(subprocess.check_output(command, env=environment, text=True))
        finally:
            if busy:
                busy.kill()
        first = first or seconds
        print(network, policy or "default", is_busy, f"{seconds:.3f},{seconds / first:.2f}", sep=",", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
