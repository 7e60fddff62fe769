"""The checkouts that take turns: how one is used without being installed, and what is set while it trains."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Whoever sets one of these has settled threads, workers or memory by hand. What a user has not set is measured here.
_SETTLED_BY_HAND = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|NUMBA_NUM|NUMBA_THREADING|NNUNET|MALLOC|TORCH|PYTORCH|ATEN)_?"
    r"|GLIBC_TUNABLES$|LD_PRELOAD$|PYTHONPATH$",
    re.IGNORECASE,
)
FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@dataclass(frozen=True)
class Checkout:
    """A checkout of nnunet-mamba.

    Args:
        name: in the tables.
        folder: absolute; holds nnunet_mamba/ and trainers/.
    """

    name: str
    folder: Path

    def environment(self, root: Path, **variables: str) -> dict[str, str]:
        """Return the environment of a process that uses this checkout, with nothing set about threads or workers.

        Args:
            root: holds nnU-Net's three folders, or links to them.
            variables: to set besides.
        """
        kept = {name: value for name, value in os.environ.items() if not _SETTLED_BY_HAND.match(name)}
        # The start-up file of an installation finds the package of PYTHONPATH first, and its trainers.
        own = {"PYTHONPATH": str(self.folder), "nnUNet_extTrainer": str(self.folder / "trainers")}
        return {**kept, **own, **{name: str(root / name) for name in FOLDERS}, "MPLBACKEND": "Agg", **variables}

    def refuse_if_not_used(self, root: Path) -> None:
        """Raise if a process that is told to use this checkout takes the package from elsewhere.

        Raises:
            ValueError: it does, or there is no package; says where it looked.
        """
        code = "import nnunet_mamba; print(nnunet_mamba.__file__)"
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, env=self.environment(root), cwd=root, capture_output=True, text=True, check=False)
        found = run.stdout.strip()
        if not found or self.folder not in Path(found).resolve().parents:
            raise ValueError(
                f"{self.folder}: Python imports nnunet_mamba from {found or 'nowhere'}; name the folder of a checkout, "
                "which holds nnunet_mamba/ and trainers/"
            )

    def commit(self) -> str:
        """Return the short hash of what is checked out, with a plus if files differ from it; empty without git."""
        git = ("git", "-C", str(self.folder))
        try:
            head = subprocess.run((*git, "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=True)
            changes = subprocess.run((*git, "diff", "--quiet", "HEAD"), capture_output=True, check=False)
        except (OSError, subprocess.CalledProcessError):
            return ""
        return head.stdout.strip() + ("+" if changes.returncode else "")
