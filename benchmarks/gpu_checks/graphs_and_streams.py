"""CUDA graphs, other streams and other devices: the scan gives the same numbers there."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from gpu_checks.checks import Check, Finding, Setting, SkipCheck, equal, require_cuda, within
from gpu_checks.scan_accuracy import relative_error, y_and_gradients
from gpu_checks.scan_shapes import Shape, operands
from nnunet_mamba import create_network
from nnunet_mamba.ops import selective_scan

SHAPE = Shape(8, 96, 2048)
# What keeps the default stream busy for some hundredths of a second.
BUSY_SIDE, BUSY_PRODUCTS = 4096, 50
_WARM_UP = 3
# A capture may choose another algorithm for a convolution.
LOGIT_TOLERANCE = 1e-3


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part, all of which need CUDA."""
    made: dict[str, Callable[[], Iterator[Finding]]] = {
        "CUDA graph of a scan": _graph_of_scan,
        "CUDA graph of a scan and its gradients": _graph_of_gradients,
        "CUDA graph of ultralight_vm_unet": _graph_of_network,
        "another stream": _other_stream,
        "another device": _other_device,
    }
    return [Check(what, partial(_on_cuda, setting, run)) for what, run in made.items()]


def _on_cuda(setting: Setting, run: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    require_cuda(setting)
    yield from run()


def captured(run: Callable[[], tuple[Tensor, ...]]) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]:
    """Return a CUDA graph of ``run`` and the tensors that a replay fills."""
    # Kernels compile and libraries load before the capture, on a stream of their own as CUDA wants it.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = run()
    return graph, results


def _graph_of_scan() -> Iterator[Finding]:
    x, other = (operands(SHAPE, "cuda", torch.float32, seed=seed) for seed in (0, 1))

    def run() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (selective_scan(*x),)

    graph, (y,) = captured(run)
    x.u.copy_(other.u)
    graph.replay()
    torch.cuda.synchronize()
    yield equal(torch.equal(y, run()[0]), what="replayed with other tokens")


def _graph_of_gradients() -> Iterator[Finding]:
    x, other = (operands(SHAPE, "cuda", torch.float32, seed=seed) for seed in (0, 1))

    def run() -> tuple[Tensor, ...]:
        return tuple(result for result in y_and_gradients(x) if result is not None)

    graph, results = captured(run)
    x.delta.copy_(other.delta)
    graph.replay()
    torch.cuda.synchronize()
    same = all(torch.equal(a, b) for a, b in zip(results, run(), strict=True))
    yield equal(same, what="replayed with other steps")


def _graph_of_network() -> Iterator[Finding]:
    network = create_network("ultralight_vm_unet", input_channels=3, num_classes=2).cuda().eval()
    images = torch.randn(4, 3, 256, 256, device="cuda")

    def run() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (network(images),)

    graph, (logits,) = captured(run)
    images.copy_(torch.randn_like(images))
    graph.replay()
    torch.cuda.synchronize()
    yield within(relative_error(logits, run()[0].double()), LOGIT_TOLERANCE, what="replayed with other images")


def _other_stream() -> Iterator[Finding]:
    x = operands(SHAPE, "cuda", torch.float32)
    right = y_and_gradients(x)
    stream, busy = torch.cuda.Stream(), torch.randn(BUSY_SIDE, BUSY_SIDE, device="cuda")
    stream.wait_stream(torch.cuda.current_stream())
    # A kernel that went to this stream would wait for all of it, and what reads its results would not.
    for _ in range(BUSY_PRODUCTS):
        busy = torch.tanh(busy @ busy)
    with torch.cuda.stream(stream):
        results = [None if result is None else result.clone() for result in y_and_gradients(x)]
    stream.synchronize()
    torch.cuda.synchronize()
    same = all(a is None or torch.equal(a, b) for a, b in zip(results, right, strict=True))
    yield equal(same, what="against the default stream")


def _other_device() -> Iterator[Finding]:
    if torch.cuda.device_count() < 2:
        raise SkipCheck("there is one CUDA device")
    right = y_and_gradients(operands(SHAPE, "cuda:0", torch.float32))
    # The current device stays the first one.
    results = y_and_gradients(operands(SHAPE, "cuda:1", torch.float32))
    same = all(a is None or torch.equal(a.cpu(), b.cpu()) for a, b in zip(results, right, strict=True))
    yield equal(same, what="cuda:1 against cuda:0")
