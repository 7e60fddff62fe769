"""Operands for the operators' tests, and the error each dtype may make."""

import importlib
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.ops.directions.operands import CrossScanOperands
from nnunet_mamba.ops.few_maps.operands import FewMapOperands
from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.pooled_norm.operands import PooledNormOperands
from nnunet_mamba.ops.scan import backends, reference
from nnunet_mamba.ops.scan.backends import VARIABLE
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands

# Largest error allowed, relative to the largest number of the exact result.
TOLERANCE = {
    torch.float64: 1e-12,  # rounding of a thousand steps
    torch.float32: 1e-5,  # the same; most of it is the rounding of the exponent delta * A * log2(e)
    torch.float16: 6e-4,  # half a unit in the last of 11 bits of the result; state and sums are float32
    torch.bfloat16: 4.5e-3,  # half a unit in the last of 8 bits
}


@pytest.fixture(autouse=True)
def _no_forced_backend(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep torch from waiting for threads on busy cores; tests of threads ask for theirs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_operands():
    def make(b=2, d=5, length=9, n=4, groups=1, dtype=torch.float32, step=1.0, without=(), softplus=True, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        operands = ScanOperands(
            u=normal(b, d, length),
            delta=normal(b, d, length) * step if softplus else normal(b, d, length).abs() * step,
            A=-(0.1 + 4 * torch.rand(d, n, generator=generator, dtype=torch.float64)).to(dtype),
            B=normal(b, groups, n, length),
            C=normal(b, groups, n, length),
            D=normal(d),
            z=normal(b, d, length),
            delta_bias=normal(d) if softplus else normal(d).abs() * step,
            delta_softplus=softplus,
        )
        return operands._replace(**dict.fromkeys(without))

    return make


@pytest.fixture
def assert_right():
    """Compare an implementation's output and gradients with the reference in float64, quantity by quantity."""

    def check(implementation, operands):
        dtype = operands.u.dtype
        dy = operands.u.flip(2).contiguous()
        exact = operands.to(torch.float64)

        def all_of(operator, x, gradient):
            return operator.forward(x), *operator.backward(gradient, x)

        results = all_of(implementation, operands, dy)
        expected = all_of(reference, exact, dy.double())
        rounded = cache(lambda: all_of(reference, operands, dy))
        names = ("y", *ScanOperands._fields)
        for place, (name, result, right, operand) in enumerate(
            zip(names, results, expected, (operands.u, *operands.tensors), strict=False)
        ):
            assert (result is None) == (operand is None), name
            if operand is not None:
                assert result.dtype == dtype, name
                assert result.shape == operand.shape, name
                error = (result.double() - right).abs().max().item()
                # The gradient of delta_bias is the sum of delta's, whose terms may cancel.
                terms = expected[2] if name == "delta_bias" else right
                scale = max(right.abs().max().item(), terms.abs().max().item())
                allowed = TOLERANCE[dtype] * scale
                if error > allowed and dtype == torch.float32:
                    # Other sums may cancel, too: then the definition errs as much where it is computed as precisely.
                    allowed = max(allowed, 3 * (rounded()[place].double() - right).abs().max().item())
                assert error <= allowed, f"{name}: error {error:.2e} of {scale:.2e}"

    return check


@pytest.fixture
def make_block():
    """A function that returns a Mamba block and its tokens."""

    def make(
        b=2,
        length=70,
        d_model=6,
        *,
        expand=2,
        n=16,
        d_conv=4,
        rank=1,
        n_parallel=1,
        reverse=False,
        conv_bias=True,
        dt_bias=-2.0,
        seed=0,
    ):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape, size=1.0):
            return torch.randn(*shape, generator=generator) * size

        d_inner = expand * d_model
        return MambaOperands(
            tokens=normal(b, length, n_parallel * d_model),
            in_proj=normal(2 * d_inner, d_model, size=d_model**-0.5),
            conv=normal(d_inner, 1, d_conv, size=d_conv**-0.5),
            conv_bias=normal(d_inner, size=0.3) if conv_bias else None,
            x_proj=normal(rank + 2 * n, d_inner, size=d_inner**-0.5),
            dt_proj=normal(d_inner, rank),
            dt_bias=normal(d_inner) + dt_bias,
            A_log=torch.rand(d_inner, n, generator=generator) * 2.7,
            D=normal(d_inner),
            out_proj=normal(d_model, d_inner, size=d_inner**-0.5),
            n_parallel=n_parallel,
            reverse=reverse,
        )

    return make


@pytest.fixture
def make_map():
    """A function that returns a map and the weights of its scans."""

    def make(spatial=(8, 9), *, b=2, d=18, n=16, rank=2, dt_bias=-2.0, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape, size=1.0):
            return torch.randn(*shape, generator=generator) * size

        length, directions = torch.Size(spatial).numel(), 2 * len(spatial)
        return CrossScanOperands(
            u=normal(b, length, d),
            projected=normal(b, length, directions, rank + 2 * n),
            dt_proj=normal(directions, d, rank, size=rank**-0.5),
            dt_bias=normal(directions, d) + dt_bias,
            A_logs=torch.rand(directions * d, n, generator=generator) * 2.7,
            Ds=normal(directions * d),
            spatial=spatial,
        )

    return make


@pytest.fixture
def make_norm():
    """A function that returns a map whose channels lie last, its norm and the windows."""

    def make(spatial=(6, 8), *, b=2, c=8, groups=2, window=None, mean=0.5, eps=1e-5, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator)

        size = b * torch.Size(spatial).numel() * c
        # No two numbers are so close that rounding decides which is larger.
        x = torch.linspace(mean - 2, mean + 2, size)[torch.randperm(size, generator=generator)]
        window = window or (2,) * len(spatial)
        return PooledNormOperands(x.reshape(b, *spatial, c), normal(c), normal(c), groups, window, eps)

    return make


@pytest.fixture
def make_maps():
    """A function that returns few maps and a filter with few taps."""

    def make(b=2, c_in=2, c_out=1, height=9, width=20, taps=(7, 7), dilation=3, dtype=torch.float32):
        generator = torch.Generator().manual_seed(b * 1000 + c_in * 100 + height * 10 + width)

        def numbers(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        return FewMapOperands(numbers(b, c_in, height, width), numbers(c_out, c_in, *taps), numbers(c_out), dilation)

    return make


@pytest.fixture
def note_calls(monkeypatch):
    """A function that returns the names of the forward kernels that this thread calls from there on."""

    def note(kernels):
        calls, thread = [], threading.get_ident()
        for name in ("forward", "forward_saving"):
            original = getattr(kernels, name)

            def noting(x, name=name, original=original):
                # What an earlier test has left running is none of this one's.
                if threading.get_ident() == thread:
                    calls.append(name)
                return original(x)

            monkeypatch.setattr(kernels, name, noting)
        return calls

    return note


@pytest.fixture
def leaves():
    """A function that returns the same operands as leaves of a graph."""

    def make(x, dtype=torch.float32):
        return x._make(one.to(dtype).clone().requires_grad_() if isinstance(one, torch.Tensor) else one for one in x)

    return make


@pytest.fixture
def assert_fused_right(leaves):
    """Compare fused kernels with their definition in float64, the result and every gradient by itself."""

    def check(kernels, definition, x, gradient=None):
        gradient = x[0].flip(1).contiguous() if gradient is None else gradient
        result, states = kernels.forward_saving(x)
        gradients = [one for one in kernels.backward(gradient, x, states) if one is not None]
        named = {name: one for name, one in leaves(x, torch.float64)._asdict().items() if isinstance(one, torch.Tensor)}
        exact = definition(x._replace(**named))
        expected = (exact, *torch.autograd.grad(exact, list(named.values()), gradient.double()))
        for name, value, right in zip(("result", *named), (result, *gradients), expected, strict=True):
            assert value.shape == right.shape, name
            error, scale = (value - right).abs().max().item(), right.abs().max().item()
            assert error <= TOLERANCE[torch.float32] * scale, f"{name}: error {error:.2e} of {scale:.2e}"
        assert torch.equal(kernels.forward(x), result)

    return check


@pytest.fixture
def forgetful():
    """Let the test load, probe and choose for the first time, and forget what it chose."""
    remembered = (backends._installed, backends._load, backends._probe_failure, backends._log_choice)
    for function in remembered:
        function.cache_clear()
    yield
    for function in remembered:
        function.cache_clear()


@pytest.fixture
def real_shapes():
    """(b, d, l, n, groups, dtype) of UltraLight at 256², VM-UNet, U-Mamba 3D, and of more states."""
    shapes = ((256, 12, 1024, 16, 1), (32, 768, 4096, 16, 4), (2, 640, 210, 16, 1), (2, 64, 50_000, 16, 1))
    narrow = [(*shape, dtype) for shape in shapes for dtype in (torch.float32, torch.float16)]
    return [*narrow, (8, 256, 1024, 64, 1, torch.float32)]


@pytest.fixture
def meta_operands():
    """A function that returns operands without numbers, for what looks at sizes alone."""

    def make(b, d, length, n, groups, dtype):
        shapes = {"u": (b, d, length), "A": (d, n), "B": (b, groups, n, length), "D": (d,)}
        shapes |= {"delta": shapes["u"], "z": shapes["u"], "C": shapes["B"], "delta_bias": shapes["D"]}
        tensors = (torch.empty(shapes[name], dtype=dtype, device="meta") for name in TENSOR_NAMES)
        return ScanOperands(*tensors, True)

    return make


def _of_triton(name):
    # The extension modules of triton._C cannot be loaded twice; they know nothing of the interpreter.
    is_triton = name.split(".")[0] == "triton" and not name.startswith("triton._C")
    return is_triton or re.match(r"nnunet_mamba\.ops\.\w+\.triton_", name) is not None


@contextmanager
def _triton_modules(modules):
    """Put other copies of Triton's modules in place; torch and other tests keep theirs."""

    def taken_out():
        return {name: sys.modules.pop(name) for name in list(sys.modules) if _of_triton(name)}

    before = taken_out()
    sys.modules.update(modules)
    try:
        yield
    finally:
        modules.update(taken_out())
        sys.modules.update(before)


def _patch_once_per_kernel(interpreter):
    """Keep the interpreter from patching triton.language again for every function that a kernel calls."""
    patch, restore, patched = interpreter._patch_lang, interpreter._LangPatchScope.restore, {}
    language = sys.modules["triton.language"]

    def patch_lang(function):
        key = tuple(language is value or language.core is value for value in function.__globals__.values())
        if key not in patched:
            patched[key] = patch(function)
        return patched[key]

    def restore_and_forget(scope):
        patched.clear()
        restore(scope)

    interpreter._patch_lang, interpreter._LangPatchScope.restore = patch_lang, restore_and_forget


_interpreted_modules = {}


@pytest.fixture
def triton_interpreted(monkeypatch):
    """A function that imports a module of kernels in Triton's interpreter, which is chosen when they are imported."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    is_first = not _interpreted_modules
    with _triton_modules(_interpreted_modules):
        if is_first:
            _patch_once_per_kernel(importlib.import_module("triton.runtime.interpreter"))
        yield importlib.import_module


class _CompiledOnly:
    """A kernel that compiles for a GPU that is not there, and keeps the result instead of launching it."""

    def __init__(self, kernel, results):
        self._kernel, self._results = kernel, results

    def __getitem__(self, grid):
        return lambda *arguments, **options: self._results.append(self._kernel.warmup(*arguments, grid=grid, **options))


@pytest.fixture
def triton_compiling(monkeypatch, tmp_path):
    """A context in which the kernels of modules compile for a GPU's capability, and a list takes what comes of it."""
    import triton
    from triton.backends.compiler import GPUTarget

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    # Triton has no way to unset a driver.
    before = dict(vars(triton.runtime.driver))

    @contextmanager
    def compiling(capability, *modules):
        driver = SimpleNamespace(
            get_current_target=lambda: GPUTarget("cuda", capability, 32),
            get_current_device=lambda: capability,
            get_current_stream=lambda device: 0,
        )
        triton.runtime.driver.set_active(driver)
        results = []
        with monkeypatch.context() as patch:
            for module in modules:
                for name in [name for name in vars(module) if name.endswith("_kernel")]:
                    patch.setattr(module, name, _CompiledOnly(getattr(module, name), results))
            yield results

    yield compiling
    vars(triton.runtime.driver).clear()
    vars(triton.runtime.driver).update(before)


@pytest.fixture
def registers_and_spills(tmp_path):
    """A function that returns the registers of a lane and the bytes that it spills, of a compiled kernel."""
    import triton

    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"

    def assembled(kernel, capability):
        (tmp_path / "kernel.ptx").write_text(kernel.asm["ptx"])
        # Triton writes PTX for the architecture's own features from Hopper on.
        architecture = f"--gpu-name=sm_{capability}{'a' if capability >= 90 else ''}"
        command = [assembler, "-v", architecture, tmp_path / "kernel.ptx", "-o", tmp_path / "kernel.cubin"]
        log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        return int(re.search(r"Used (\d+) registers", log)[1]), int(re.search(r"(\d+) bytes spill stores", log)[1])

    return assembled
