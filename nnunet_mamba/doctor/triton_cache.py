"""Where Triton keeps the kernels that it has compiled for GPUs, told without Triton."""

import os
from pathlib import Path

# Triton writes one such file when all parts of a kernel are there.
_WHOLE = "__grp__*.json"


def triton_cache_folder() -> Path:
    """Return Triton's folder: ``$TRITON_CACHE_DIR``, else ``.triton/cache`` in ``$TRITON_HOME`` or the home folder."""
    home = os.environ.get("TRITON_HOME") or os.path.expanduser("~")
    return Path(os.environ.get("TRITON_CACHE_DIR") or Path(home, ".triton", "cache"))


def triton_kernel_files() -> list[Path]:
    """Return one file for each kernel in Triton's folder."""
    return sorted(triton_cache_folder().glob(f"*/{_WHOLE}"))
