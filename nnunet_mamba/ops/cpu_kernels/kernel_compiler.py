"""From a Python function to a C function that threads of any kind can run."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numba
from numba.core.errors import NumbaError

from nnunet_mamba.ops.cpu_kernels.kernel_cache import kernels_cached

# Without it, two threads that need their first kernel at once would each get one, and one of them lose its code.
_one_at_a_time = Lock()


def compiled_kernel(kernel: Callable[[Any], None]) -> Any:
    """Return ``kernel`` as a C function ``void kernel(void *task)``, whose code lives as long as the object.

    It is compiled once for each version of the sources, of numba and of the CPU, and kept on disk.

    Raises:
        RuntimeError: numba cannot compile it; the text says what to do.
    """
    with _one_at_a_time:
        return _compiled_kernel(kernel)


@cache
def _compiled_kernel(kernel: Callable[[Any], None]) -> Any:
    try:
        with kernels_cached():
            return numba.cfunc(numba.void(numba.types.voidptr), cache=True, error_model="numpy")(kernel)
    except NumbaError as error:
        raise RuntimeError(
            f"numba {numba.__version__} cannot compile {kernel.__name__} of {kernel.__module__}; install another "
            f"version, or set NNUNET_MAMBA_SCAN=reference: {error}"
        ) from error
