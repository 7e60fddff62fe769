"""What the parts do on a GPU alone, on a CPU that pretends to be one: names, arguments and comparisons hold there."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.overrides import TorchFunctionMode

GIBIBYTE = 2**30


def _on_cpu(value):
    if isinstance(value, str) and value.startswith("cuda"):
        return "cpu"
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


class _Pretended(TorchFunctionMode):
    """Takes the CPU wherever a CUDA device is asked for."""

    def __torch_function__(self, function, _, arguments=(), options=None):
        options = {name: _on_cpu(value) for name, value in (options or {}).items()}
        return function(*map(_on_cpu, arguments), **options)


class _Event:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        pass

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return 2.0


class _Stream:
    def wait_stream(self, other):
        pass

    def synchronize(self):
        pass


class _Graph:
    def replay(self):
        pass


@pytest.fixture
def pretended(gpu_check, monkeypatch):
    """torch.cuda of a GPU with 80 GiB, on which nothing that a CUDA graph holds is computed again."""
    made = {
        "device_count": lambda: 1,
        "get_device_properties": lambda index: SimpleNamespace(
            name="Pretended", total_memory=80 * GIBIBYTE, multi_processor_count=132, major=9, minor=0
        ),
        "mem_get_info": lambda: (79 * GIBIBYTE, 80 * GIBIBYTE),
        "is_bf16_supported": lambda including_emulation: True,
        "synchronize": lambda: None,
        "Event": _Event,
        "Stream": _Stream,
        "current_stream": _Stream,
        "stream": lambda chosen: nullcontext(),
        "CUDAGraph": _Graph,
        "graph": lambda graph: nullcontext(),
    }
    for name, value in made.items():
        monkeypatch.setattr(torch.cuda, name, value)
    generator, move = torch.Generator, torch.nn.Module.to
    # A class like the original: torch names it in annotations.
    made_on_cpu = {"__new__": lambda cls, device="cpu": generator(_on_cpu(device))}
    monkeypatch.setattr(torch, "Generator", type("Generator", (), made_on_cpu))
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *arguments: move(module, *map(_on_cpu, arguments)))
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    health_check = "_accelerator_graph_capture_health_check"  # not in every torch
    monkeypatch.setattr(torch.optim.Optimizer, health_check, lambda optimizer: None, raising=False)
    from gpu_checks.checks import Setting, SkipCheck

    def findings(module):
        found = {}
        with _Pretended():
            for check in module.checks(Setting("cuda", is_dry_run=False)):
                try:
                    for finding in check.run():
                        found[f"{check.what}, {finding.what}".rstrip(", ")] = finding
                except SkipCheck as reason:
                    found[check.what] = str(reason)
        return found

    return findings


def test_the_gpu_is_described(pretended):
    from gpu_checks import machine_and_backends

    found = pretended(machine_and_backends)
    assert found["GPU, 0"].value == "Pretended, 9.0, 80 GiB, 132 multiprocessors"
    assert found["GPU, free memory"].value == "79.0 of 80.0 GiB"
    # Its tensors lie on the CPU, where no kernel of a GPU runs.
    assert found["chosen backend, float32"].verdict == "WRONG"
    assert found["float32 backends, triton_gpu"].verdict == "WRONG"


def test_large_scans_are_compared_or_say_what_they_need(pretended, monkeypatch):
    from gpu_checks import large_tensors

    monkeypatch.setattr(large_tensors, "BATCH", large_tensors.SMALL_BATCH)
    monkeypatch.setattr(large_tensors, "TOKENS", large_tensors.SMALL_TOKENS)
    found = pretended(large_tensors)
    assert len(found) == 8
    assert {finding.verdict for finding in found.values()} == {"ok"}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 2))
    assert set(pretended(large_tensors).values()) == {"needs 0 GiB, 0 GiB are free"}


@pytest.mark.parametrize("wrong", [slice(0, 1), slice(-1, None)], ids=["first", "last"])
def test_a_wrong_end_of_a_large_scan_is_found(pretended, monkeypatch, wrong):
    from gpu_checks import large_tensors

    def scan(u, *others):
        y = selective_scan(u, *others)
        if u.dtype == large_tensors.DTYPE and u.shape[0] > 1:
            y[wrong] += 1
        return y

    selective_scan = large_tensors.selective_scan
    monkeypatch.setattr(large_tensors, "selective_scan", scan)
    monkeypatch.setattr(large_tensors, "BATCH", large_tensors.SMALL_BATCH)
    monkeypatch.setattr(large_tensors, "TOKENS", large_tensors.SMALL_TOKENS)
    verdicts = {what: finding.verdict for what, finding in pretended(large_tensors).items() if "forward" in what}
    assert list(verdicts.values()).count("WRONG") == 1


def test_kernels_are_timed_by_events(pretended, monkeypatch):
    from gpu_checks import kernel_times

    from nnunet_mamba.ops.scan.backends import BACKENDS

    monkeypatch.setattr(kernel_times, "BACKENDS", {"triton_gpu": BACKENDS["numba_cpu"]})
    monkeypatch.setattr(kernel_times, "SHAPES", kernel_times.SMALL_SHAPES)
    monkeypatch.setattr(kernel_times, "GIBIBYTE", 2**20)
    monkeypatch.setattr(kernel_times, "REPEATS", 1)
    found = pretended(kernel_times)
    assert found["copy"].value == "1 GB/s"
    times = [finding for what, finding in found.items() if what.endswith("backward")]
    assert len(times) == 4
    assert all(finding.value.startswith("2.000 ms, ") for finding in times)


def test_steps_of_networks_say_what_the_gpu_does(pretended, monkeypatch):
    from gpu_checks import network_steps

    monkeypatch.setattr(network_steps, "NETWORKS", {"ultralight_vm_unet": 2})
    monkeypatch.setattr(network_steps, "SIDE", 32)
    monkeypatch.setattr(network_steps, "SIZES", ((32, 32), (40, 24)))
    monkeypatch.setattr(network_steps, "REPEATS", 1)
    monkeypatch.setattr(network_steps, "_compiled", lambda setting, network: network)
    monkeypatch.setattr(network_steps, "kernels_of", lambda step: (420, 0.5))
    found = pretended(network_steps)
    assert found["ultralight_vm_unet eager training step, kernels"].value == "420, 0.50 ms, host share 75 %"
    assert found["ultralight_vm_unet compiled inference, 40x24"].verdict == "ok"
    assert found["ultralight_vm_unet against float64, gradients"].verdict == "ok"


def test_graphs_that_compute_nothing_are_found(pretended, monkeypatch):
    from gpu_checks import graphs_and_streams
    from gpu_checks.scan_shapes import Shape

    monkeypatch.setattr(graphs_and_streams, "SHAPE", Shape(1, 8, 70))
    monkeypatch.setattr(graphs_and_streams, "BUSY_SIDE", 8)
    found = pretended(graphs_and_streams)
    assert [found[what].verdict for what in found if what.startswith("CUDA graph")] == ["WRONG"] * 3
    assert found["another stream, against the default stream"].verdict == "ok"
    assert found["another device"] == "there is one CUDA device"


def test_kernels_are_counted_without_copies_and_marks(gpu_check):
    from gpu_checks.network_steps import counted
    from torch.autograd import DeviceType

    def event(name, us, *, device=DeviceType.CUDA, is_user_annotation=False):
        time_range = SimpleNamespace(elapsed_us=lambda: us)
        return SimpleNamespace(
            name=name, device_type=device, is_user_annotation=is_user_annotation, time_range=time_range
        )

    events = [
        event("forward_kernel", 700),
        event("void at::native::add", 200),
        event("Memcpy HtoD (Pageable -> Device)", 100),
        event("Optimizer.step#AdamW.step", 5000, is_user_annotation=True),
        event("aten::add", 9000, device=DeviceType.CPU),
    ]
    assert counted(events * 3, n_steps=3) == (2, 1.0)
