"""From a Python function to a C function that threads of any kind can run."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import Any

import numba
from numba.core.errors import NumbaError

from nnunet_mamba.ops.cpu_kernels.kernel_cache import folder_in_use
from nnunet_mamba.ops.cpu_kernels.kernel_objects import LoadedKernel, object_file, read_object, write_object

# Without it, two threads that need their first kernel at once would each compile it.
_one_at_a_time = Lock()


def compiled_kernel(kernel: Callable[[Any], None]) -> LoadedKernel:
    """Return ``kernel`` as a C function ``void kernel(void *task)``, whose code lives as long as the process.

    It is compiled once for each version of the sources, of numba and of the CPU, and kept on disk.

    Raises:
        RuntimeError: numba cannot compile it; the text says what to do.
    """
    with _one_at_a_time:
        return _compiled_kernel(kernel)


@cache
def _compiled_kernel(kernel: Callable[[Any], None]) -> LoadedKernel:
    file = object_file(folder_in_use(), kernel)
    if (loaded := read_object(file)) is not None:
        return loaded
    try:
        compiled = numba.cfunc(numba.void(numba.types.voidptr), error_model="numpy")(kernel)
    except NumbaError as error:
        raise RuntimeError(
            f"numba {numba.__version__} cannot compile {kernel.__name__} of {kernel.__module__}; install another "
            f"version, or set NNUNET_MAMBA_SCAN=reference: {error}"
        ) from error
    # Without room for it, or with a numba that names its parts otherwise, the next process compiles again.
    with suppress(OSError, AttributeError):
        write_object(file, compiled)
    return LoadedKernel(compiled.address, compiled)
