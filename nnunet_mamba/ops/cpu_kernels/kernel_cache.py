"""Where compiled kernels are kept between processes, and what keeps the folder usable.

Many processes share it, and what is found there is executed.
"""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import llvmlite
import llvmlite.binding
import numba

from nnunet_mamba.ops.cpu_kernels.kernel_objects import ENDING
from nnunet_mamba.system.nnunet_folders import unexpanded

FOLDER_PREFIX = "nnunet_mamba-scan-"
# Several times what the kernels need.
_ROOM = 8 * 2**20  # bytes
_KEPT_UNUSED = 30 * 24 * 3600  # s
_LOOKED_AFTER_EVERY = 24 * 3600  # s
_MARK = "last-use"
_OPERATORS = Path(__file__).parents[1]


def _cpu() -> str:
    """Return what numba compiles for: machine code of one CPU may crash on another."""
    name, features = numba.config.CPU_NAME, numba.config.CPU_FEATURES
    if name is None:
        name = llvmlite.binding.get_host_cpu_name()
    if features is None:
        try:
            features = llvmlite.binding.get_host_cpu_features().flatten()
        except RuntimeError:  # LLVM does not know them on this system
            features = ""
    return f"{llvmlite.binding.get_default_triple()} {name} {features}"


def _fingerprint(sources: Path) -> str:
    """Return a short hash of all that the kernels are made from.

    Several versions, and several CPUs with one home on NFS, may fill their folders at once.
    """
    # Kernels are made from bytecode, and call functions of Python.
    python = str(sys.implementation.cache_tag)
    compiler = "\n".join([python, numba.__version__, llvmlite.__version__, _cpu()])
    return hashlib.sha256(compiler.encode() + _digest(sources)).hexdigest()[:12]


# Once in a process: what it compiles after the package was upgraded comes from the sources that it imported before.
@cache
def _digest(sources: Path) -> bytes:
    digest = hashlib.sha256()
    for source in sorted(sources.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.digest()


def _is_usable(folder: Path) -> bool:
    """Create ``folder`` for this user alone; return whether kernels can be written there, or are there already."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if not kernel_files(folder):
                file.write(bytes(_ROOM))
                file.flush()
                # A full quota on NFS shows when the server has the bytes, not before.
                os.fsync(file.fileno())
        return True
    except OSError:
        return False


def _is_own(folder: Path) -> bool:
    """Return whether no other user can have put files there: what is found in the cache is executed."""
    status = folder.lstat()
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def user_folders() -> list[Path]:
    """Return the folders where the user wants caches, in the order in which they are tried."""
    chosen = [Path(numba.config.CACHE_DIR)] if numba.config.CACHE_DIR and not ignored_folder() else []
    # XDG ignores relative paths, and without a home folder "~" is one.
    caches = (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache"))
    usable = [path for path in caches if os.path.isabs(path) and unexpanded(path) is None]
    return [*chosen, *(Path(cache) for cache in usable[:1])]


def ignored_folder() -> str:
    """Return why ``$NUMBA_CACHE_DIR`` is not used, "" if it is, or is not set.

    A path that a shell should have expanded, such as "~/kernels", would become a folder called "~" in every working
    directory.
    """
    chosen = numba.config.CACHE_DIR
    what = unexpanded(chosen) if chosen else None
    return f"NUMBA_CACHE_DIR is {chosen!r}, which is ignored: {what}" if what else ""


def cache_folder() -> Path:
    """Return a writable folder for kernels that are compiled by this numba, for this CPU, from the sources as they are.

    It is below ``$NUMBA_CACHE_DIR`` if that is set, else in the user's cache folder, else in the temporary folder; as a
    last resort a fresh temporary folder, which makes every process compile again. It is not beside the sources, where
    uninstalling would leave it behind.
    """
    name = FOLDER_PREFIX + _fingerprint(_OPERATORS)
    for parent in user_folders():
        if _is_usable(parent / name):
            return parent / name
    shared = Path(tempfile.gettempdir()) / f"{name}-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    if _is_usable(shared) and _is_own(shared):
        return shared
    return _fresh_folder(name, os.getpid())


@cache
def _fresh_folder(name: str, process: int) -> Path:
    """Return the folder of one process; it goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(_remove_at_exit, folder, process)
    return folder


def _remove_at_exit(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child may end first
        shutil.rmtree(folder, ignore_errors=True)


def kernel_files(folder: Path) -> list[Path]:
    """Return the files with machine code in a cache folder, one for each kernel."""
    return sorted(folder.glob(f"*{ENDING}"))


def _last_use(folder: Path) -> float:
    mark = folder / _MARK
    return (mark if mark.exists() else folder).stat().st_mtime


def _look_after(folder: Path) -> None:
    """Mark ``folder`` as used, and delete those of other versions or CPUs that no process has used for long."""
    now = time.time()
    if (folder / _MARK).exists() and now - _last_use(folder) < _LOOKED_AFTER_EVERY:
        return
    (folder / _MARK).touch()
    for sibling in folder.parent.glob(f"{FOLDER_PREFIX}*"):
        # Another process may do the same at this moment.
        with suppress(OSError):
            if sibling != folder and _is_own(sibling) and now - _last_use(sibling) > _KEPT_UNUSED:
                _remove(sibling)


def _remove(folder: Path) -> None:
    """Delete a cache folder so that a process that still uses it finds it whole or absent."""
    removed = folder.with_name(f"{FOLDER_PREFIX}removed-{os.getpid()}-{folder.name.removeprefix(FOLDER_PREFIX)}")
    folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def folder_in_use() -> Path:
    """Return ``cache_folder()``, marked as used."""
    folder = cache_folder()
    if folder.parent in user_folders():  # the system looks after its temporary folder
        # Kernels may be there although nothing can be written.
        with suppress(OSError):
            _look_after(folder)
    return folder
