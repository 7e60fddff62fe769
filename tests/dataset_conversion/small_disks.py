"""A real file system of a few hundred kilobytes, which only the processes of one test see."""

import shutil
import subprocess
from pathlib import Path

import pytest

_MOUNT = 'mount -t tmpfs -o "size=$1" none "$0" && echo mounted && exec cat'


class SmallDisk:
    """A tmpfs in a mount namespace of its own, for which Linux asks for no rights; skips where it may not.

    Args:
        path: an empty folder; outside of the commands run here, it stays empty.
        size: as mount takes it, such as "600k".
    """

    def __init__(self, path: Path, size: str) -> None:
        if not (shutil.which("unshare") and shutil.which("nsenter")):
            pytest.skip("needs unshare and nsenter of util-linux")
        self.path = path
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT, str(path), size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._holder.stdout.readline() != "mounted\n":
            _, reason = self._holder.communicate()
            pytest.skip(f"no file system can be mounted here: {reason.strip()}")

    @property
    def seen_from_outside(self) -> Path:
        """The same folder for processes that do not see the file system."""
        return Path(f"/proc/{self._holder.pid}/root{self.path}")

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        target = ["--target", str(self._holder.pid), "--user", "--mount", "--preserve-credentials"]
        return subprocess.run(["nsenter", *target, *words], capture_output=True, text=True, check=False)

    def remount(self, options: str) -> None:
        done = self.run(["mount", "-o", f"remount,{options}", str(self.path)])
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Let go of the namespace, and with it of the file system."""
        self._holder.communicate()
