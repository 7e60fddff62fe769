"""Measure a training step on the CPU: UltraLight VM-UNet against nnU-Net's own U-Net, and what company does to it.

    python benchmarks/training_step.py

Each row is a process of its own, because OpenMP reads its variables once: a network, how its process is settled, and
what runs meanwhile: nothing, a process that keeps one core busy, or the same training step a second time ("twin").
"trainers" is what our trainers do: they keep freed memory, and waiting threads sleep. Prints comma-separated medians;
only rows of one run are comparable. Two at once are as fast as one after the other where a twin takes twice as long.
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
ROWS = (  # network, settings of the process, what runs meanwhile, steps
    ("ultralight_vm_unet", "default", "", 9),
    ("nnunet_plain_unet", "default", "", 2),
    ("ultralight_vm_unet", "passive", "", 9),
    ("ultralight_vm_unet", "trainers", "", 9),
    ("ultralight_vm_unet", "default", "busy core", 9),
    ("ultralight_vm_unet", "passive", "busy core", 9),
    ("ultralight_vm_unet", "trainers", "busy core", 9),
    ("ultralight_vm_unet", "default", "twin", 9),
    ("ultralight_vm_unet", "passive", "twin", 9),
    ("ultralight_vm_unet", "trainers", "twin", 9),
)


def measure(network_name: str, settings: str, steps: int) -> None:
    """Print the median seconds of a forward and backward pass, in a fresh process."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    from nnunet_mamba import create_network
    from nnunet_mamba.ops.cpu_kernels.thread_team import let_waiting_threads_sleep
    from nnunet_mamba.system.allocator import keep_freed_memory

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
    if settings == "trainers":
        keep_freed_memory()
        let_waiting_threads_sleep()
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
    print("network,settings,meanwhile,seconds_per_step,ratio_to_first", flush=True)
    first = None
    for network, settings, meanwhile, steps in ROWS:
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        if settings == "passive":
            environment["OMP_WAIT_POLICY"] = "passive"
        command = [sys.executable, __file__, network, settings, str(steps)]
        # A twin runs on until the measured one is done.
        company = {
            "busy core": [sys.executable, "-c", "while True: pass"],
            "twin": [*command[:-1], str(1000 * steps)],
        }
        other = subprocess.Popen(company[meanwhile], env=environment) if meanwhile else None
        try:
            seconds = float(subprocess.check_output(command, env=environment, text=True))
        finally:
            if other:
                other.kill()
                other.wait()
        first = first or seconds
        print(network, settings, meanwhile or "nothing", f"{seconds:.3f},{seconds / first:.2f}", sep=",", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
