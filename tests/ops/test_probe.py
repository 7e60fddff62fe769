"""The first call of a process may come in any of torch's modes; the kernels' test runs must not take part in them."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nnunet_mamba import create_network
from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.directions import op as directions
from nnunet_mamba.ops.few_maps import op as few_maps
from nnunet_mamba.ops.mixer import op as mixer
from nnunet_mamba.ops.pooled_norm import op as pooled_norm
from nnunet_mamba.ops.probe import told_failure
from nnunet_mamba.ops.scan import backends, numba_cpu

FUSED = (mixer, directions, few_maps, pooled_norm)
TEST_RUNS = (backends._probe_failure, *(module._probe_failure for module in FUSED))
SMALL = {"dims": (16, 32), "depths": (1, 1), "depths_decoder": (1, 1)}


@contextmanager
def _default(setter, value, before):
    setter(value)
    try:
        yield
    finally:
        setter(before)


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class _Function(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def _functional(network, x):
    with FunctionalTensorMode():
        return torch._from_functional_tensor(network(FunctionalTensor.to_functional(x)).elem)


def _in(context):
    def run(network, x):
        with context():
            return network(x).clone()

    return run


MODES = {
    "trace": lambda network, x: torch.jit.trace(network, x)(x),
    "vmap": lambda network, x: torch.func.vmap(network)(x[None])[0],
    "make_fx": lambda network, x: make_fx(network)(x)(x),
    "functional": _functional,
    "functionalize": lambda network, x: torch.func.functionalize(network)(x),
    "compile": lambda network, x: torch.compile(network, backend="eager")(x),
    "inference": _in(torch.inference_mode),
    "double": _in(lambda: _default(torch.set_default_dtype, torch.float64, torch.float32)),
    "meta": _in(lambda: _default(torch.set_default_device, "meta", None)),
    "deterministic": _in(lambda: _default(torch.use_deterministic_algorithms, True, False)),
    "anomaly": _in(torch.autograd.detect_anomaly),
    "dispatch": _in(_Dispatch),
    "function": _in(_Function),
}


@pytest.fixture(params=["ultralight_vm_unet", "vm_unet"])
def network(request):
    torch.manual_seed(0)
    return create_network(request.param, 3, 2, **(SMALL if request.param == "vm_unet" else {})).eval()


@pytest.fixture
def images():
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def _first_call():
    for test_run in TEST_RUNS:
        test_run.cache_clear()
    yield
    for test_run in TEST_RUNS:
        test_run.cache_clear()


@pytest.mark.usefixtures("_first_call")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
def test_a_first_call_in_a_mode_gives_the_same_logits(network, images, mode):
    with torch.no_grad():
        logits = MODES[mode](network, images)
        assert [backends._probe_failure("numba_cpu", "cpu"), mixer._probe_failure(), directions._probe_failure()] == [
            None,
            None,
            None,
        ]
        torch.testing.assert_close(logits, network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("_first_call")
@pytest.mark.filterwarnings("ignore")
def test_a_graph_may_be_traced_with_gradients(network, images):
    torch.testing.assert_close(torch.jit.trace(network, images)(images), network(images), rtol=1e-4, atol=1e-4)


def test_the_first_call_of_a_process_may_be_with_fake_tensors():
    script = (
        "import torch, nnunet_mamba\n"
        "from torch._subclasses.fake_tensor import FakeTensorMode\n"
        "network = nnunet_mamba.create_network('ultralight_vm_unet', 3, 2).eval()\n"
        "mode = FakeTensorMode(allow_non_fake_inputs=True)\n"
        "with mode: shape = network(mode.from_tensor(torch.ones(1, 3, 32, 32))).shape\n"
        "print(tuple(shape))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "(1, 2, 32, 32)\n"), run.stderr


@pytest.mark.usefixtures("_first_call")
def test_test_runs_take_place_in_a_thread_of_their_own(monkeypatch, make_operands):
    threads = []
    original = numba_cpu.forward_saving
    monkeypatch.setattr(numba_cpu, "forward_saving", lambda x: threads.append(threading.get_ident()) or original(x))
    x = make_operands()
    selective_scan(*x)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


LACKS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    OSError(12, "Cannot allocate memory"),
    RuntimeError("can't start new thread"),
    MemoryError(),
]
# Every test run that is remembered: the function, and that of its kernels which it calls first.
REMEMBERED = {
    "scan": (lambda: backends._probe_failure("numba_cpu", "cpu"), "scan.numba_cpu.forward_saving"),
    **{
        f"{module.__name__.split('.')[-2]}{words}": (partial(module._probe_failure, *is_forward_alone), function)
        for module in FUSED
        for words, is_forward_alone, function in (
            ("", (), f"{module.__name__.split('.')[-2]}.numba_cpu.forward_saving"),
            (", forward alone", (True,), f"{module.__name__.split('.')[-2]}.numba_cpu.forward"),
        )
    },
}


@pytest.mark.usefixtures("_first_call")
@pytest.mark.parametrize(
    ("of", "error"), [*(("scan", lack) for lack in LACKS), *((of, LACKS[0]) for of in REMEMBERED)], ids=repr
)
def test_a_lack_of_memory_is_told_and_passes(monkeypatch, of, error):
    test_run, function = REMEMBERED[of]

    def fail(x):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(f"nnunet_mamba.ops.{function}", fail)
        with pytest.raises(type(error)):
            test_run()
    assert test_run() is None


@pytest.mark.usefixtures("_first_call")
@pytest.mark.parametrize("where", ["_probe_operands", "difference"])
def test_a_device_without_room_for_the_operands_says_nothing_about_a_kernel(monkeypatch, where):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(backends, where, fail)
        with pytest.raises(torch.OutOfMemoryError):
            backends._probe_failure("numba_cpu", "cpu")
    assert backends._probe_failure("numba_cpu", "cpu") is None


@pytest.mark.usefixtures("_first_call")
@pytest.mark.parametrize("of", REMEMBERED)
def test_another_failure_stays_for_the_process(monkeypatch, of):
    test_run, function = REMEMBERED[of]

    def fail(x):
        raise RuntimeError("no kernel for this architecture")

    with monkeypatch.context() as patched:
        patched.setattr(f"nnunet_mamba.ops.{function}", fail)
        test_run()
    assert test_run() == "its test run failed: RuntimeError: no kernel for this architecture"


def test_other_failures_are_told():
    assert told_failure(OSError(28, "No space left on device")).startswith("its test run failed: OSError: [Errno 28]")
