"""Training steps and inference of whole networks, eager and compiled: times, kernel launches, and waiting for the host.

A GPU that is faster than the host waits for it: the host's share is the part of a step in which no kernel runs.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from gpu_checks.checks import Check, Finding, Setting, within
from gpu_checks.device_timing import medians, run_ms, synchronise
from gpu_checks.scan_accuracy import relative_error
from nnunet_mamba import create_network

NETWORKS = {"ultralight_vm_unet": 64, "vm_unet": 24}  # and their batches in training
SIDE, SMALL_SIDE, SMALL_BATCH = 256, 64, 2
# The second one is no multiple of what the networks pool by; a compiled network meets it without being told before.
SIZES, SMALL_SIZES = ((256, 256), (320, 200)), ((64, 64), (96, 40))
REPEATS, PROFILED = 10, 3
# Compiled and eager convolutions add up in another order.
LOGIT_TOLERANCE = 1e-3
GRADIENT_TOLERANCE = 1e-2
DTYPES = (torch.float32, torch.float64)


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part: all eager ones first, because compilers take the time of what follows."""
    found = [Check(f"{name} against float64", partial(_against_float64, setting, name)) for name in NETWORKS]
    for is_compiled in (False, True):
        how = "compiled" if is_compiled else "eager"
        for name, batch in NETWORKS.items():
            # Compiling the larger network takes a CPU a minute and shows nothing more.
            if is_compiled and (not setting.is_dry_run or name == next(iter(NETWORKS))):
                found.append(Check(f"{name} compiled inference", partial(_compiled_inference, setting, name)))
            if is_compiled and setting.is_dry_run:
                continue
            batch = SMALL_BATCH if setting.is_small else batch
            arguments = (setting, name, batch, is_compiled)
            found.append(Check(f"{name} {how} training step", partial(_training_step, *arguments)))
            if not is_compiled:
                found.append(Check(f"{name} {how} inference", partial(_inference, setting, name, batch)))
    return found


def _side(setting: Setting) -> int:
    return SMALL_SIDE if setting.is_small else SIDE


def _network(setting: Setting, name: str) -> nn.Module:
    torch.manual_seed(0)
    return create_network(name, input_channels=3, num_classes=2).to(setting.device)


def _compiled(setting: Setting, network: nn.Module) -> Any:
    # A compiler for C++ is not everywhere and takes minutes; what is in front of it finds the faults of graphs.
    return torch.compile(network, backend="aot_eager" if setting.is_dry_run else "inductor")


def _precision(setting: Setting) -> Any:
    """Return the autocast of a training on a GPU."""
    return torch.autocast("cuda", torch.bfloat16) if setting.device == "cuda" else nullcontext()


def _against_float64(setting: Setting, name: str) -> Iterator[Finding]:
    """Compare logits and all gradients; in float64 every scan is the reference."""
    torch.backends.cudnn.allow_tf32 = False
    network = _network(setting, name).eval()
    images = torch.randn(2, 3, SMALL_SIDE, SMALL_SIDE, device=setting.device)
    results, exact = (_logits_and_gradients(network.to(dtype), images.to(dtype)) for dtype in DTYPES)
    errors = {what: relative_error(result, exact[what]) for what, result in results.items()}
    yield within(errors.pop("logits"), LOGIT_TOLERANCE, what="logits")
    worst = max(errors, key=lambda what: (errors[what] != errors[what], errors[what]))
    yield within(errors[worst], GRADIENT_TOLERANCE, where=worst, what="gradients")


def _logits_and_gradients(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    logits = network(images)
    network.zero_grad(set_to_none=True)
    (logits * torch.linspace(-1, 1, logits.numel(), device=logits.device).reshape(logits.shape)).mean().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **gradients}


def _training_step(setting: Setting, name: str, batch: int, is_compiled: bool) -> Iterator[Finding]:
    network = _network(setting, name)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    forward = _compiled(setting, network) if is_compiled else network
    images = torch.randn(batch, 3, _side(setting), _side(setting), device=setting.device)
    labels = torch.randint(2, images[:, 0].shape, device=setting.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _precision(setting):
            loss = nn.functional.cross_entropy(forward(images).float(), labels)
        loss.backward()
        optimizer.step()

    if is_compiled:
        yield Finding(f"{run_ms(step, setting.device) / 1e3:.0f} s", what="first step")
    yield from _timed(setting, step, batch)


def _inference(setting: Setting, name: str, batch: int) -> Iterator[Finding]:
    network = _network(setting, name).eval()
    images = torch.randn(batch, 3, _side(setting), _side(setting), device=setting.device)

    def predict() -> None:
        with torch.inference_mode(), _precision(setting):
            network(images)

    yield from _timed(setting, predict, batch)


def _timed(setting: Setting, step: Callable[[], None], batch: int) -> Iterator[Finding]:
    repeats = 1 if setting.is_dry_run else REPEATS
    ms = medians({"step": step}, setting.device, repeats=repeats)["step"]
    yield Finding(f"{ms:.2f} ms for {batch} images", what="time")
    if setting.device != "cuda":
        return
    synchronise(setting.device)
    began = time.perf_counter()
    step()
    yield Finding(f"{(time.perf_counter() - began) * 1e3:.2f} ms", what="host alone")
    n_launches, busy_ms = kernels_of(step)
    value = f"{n_launches}, {busy_ms:.2f} ms, host share {100 * max(0.0, 1 - busy_ms / ms):.0f} %"
    yield Finding(value if n_launches else "the profiler saw none", what="kernels")


def kernels_of(step: Callable[[], None]) -> tuple[int, float]:
    """Return how many kernels a step launches and how many ms they run, copies and fills included in the time."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED):
            step()
        torch.cuda.synchronize()
    return counted(profiled.events(), PROFILED)


def counted(events: Any, n_steps: int) -> tuple[int, float]:
    """Return kernels and their ms for each of ``n_steps``, from the events of a profiler."""
    on_device = [
        event
        for event in events
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
    ]
    kernels = [event for event in on_device if not event.name.startswith(("Memcpy", "Memset"))]
    busy_us = sum(event.time_range.elapsed_us() for event in on_device)
    return round(len(kernels) / n_steps), busy_us / 1e3 / n_steps


def _compiled_inference(setting: Setting, name: str) -> Iterator[Finding]:
    torch.backends.cudnn.allow_tf32 = False
    network = _network(setting, name).eval()
    compiled = _compiled(setting, network)
    for size in SMALL_SIZES if setting.is_small else SIZES:
        images = torch.randn(2, 3, *size, device=setting.device)

        def predict(forward: Any, images: Tensor = images) -> Tensor:
            with torch.inference_mode():
                return forward(images)

        image_size = "x".join(map(str, size))
        first_ms = run_ms(partial(predict, compiled), setting.device)
        error = relative_error(predict(compiled), predict(network).double())
        yield within(error, LOGIT_TOLERANCE, what=image_size)
        tasks = {"compiled": partial(predict, compiled), "eager": partial(predict, network)}
        ms = medians(tasks, setting.device, repeats=1 if setting.is_dry_run else REPEATS)
        value = f"{ms['compiled']:.2f} ms, eager {ms['eager']:.2f} ms, first {first_ms / 1e3:.1f} s"
        yield Finding(value, what=f"{image_size} time")
