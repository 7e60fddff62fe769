"""Where compiled kernels are kept between processes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba


def _fingerprint(folder: Path) -> str:
    """Return a short hash of the sources; numba itself would not notice that an imported file has changed."""
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _is_writable(folder: Path) -> bool:
    """Create ``folder`` for this user alone; return whether a file can be written there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_own(folder: Path) -> bool:
    """Return whether no other user can have put files there: numba executes what it finds in its cache."""
    status = folder.stat()
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def cache_folder() -> Path:
    """Return a writable folder for kernels compiled from the sources as they are.

    It is below ``$NUMBA_CACHE_DIR`` if that is set, else in the user's cache folder, else in the temporary folder; as a
    last resort a fresh temporary folder, which makes every process compile again. It is not beside the sources, where
    uninstalling would leave it behind.
    """
    name = f"nnunet_mamba-scan-{_fingerprint(Path(__file__).parent)}"
    choices = [Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))]
    if numba.config.CACHE_DIR:
        choices.insert(0, Path(numba.config.CACHE_DIR))
    for choice in choices:
        if _is_writable(choice / name):
            return choice / name
    shared = Path(tempfile.gettempdir()) / f"{name}-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    if _is_writable(shared) and _is_own(shared):
        return shared
    return Path(tempfile.mkdtemp(prefix=name))


@contextmanager
def kernels_cached() -> Iterator[None]:
    """Let kernels that are defined inside the block use ``cache_folder``; other users of numba keep theirs."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
