"""Several trainings on one GPU: as many as its memory holds, beside whatever else uses it."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_mamba.crossval.capacity import has_room
from nnunet_mamba.crossval.gpu_use import GpuUse, read_gpu_use
from nnunet_mamba.system.counts import how_many

if TYPE_CHECKING:
    from nnunet_mamba.crossval.attempt import TrainingShare

GIB = 2**30
# CUDA's own context and what its libraries load, which torch does not count.
CONTEXT = GIB


class GpuSharing:
    """Chooses a GPU for each training.

    Args:
        gpus: their names.
        tell: is given a sentence when a training must wait for the memory of a GPU, once for each number of trainings
            on that GPU.
    """

    def __init__(self, gpus: Sequence[str], tell: Callable[[str], None]) -> None:
        self._gpus, self._tell = gpus, tell
        self._folder = tempfile.TemporaryDirectory(prefix="nnunet-mamba-crossval-")
        self._n_files = 0
        self._peak = 0
        self._told: set[tuple[str, int]] = set()

    def new_file(self) -> Path:
        """Return a file in which a training is to say what it uses; it goes with this object."""
        self._n_files += 1
        return Path(self._folder.name) / f"{self._n_files}.json"

    def measure(self, running: Sequence["TrainingShare"]) -> None:
        """Look at the running trainings, and remember the most that one has taken, beyond its end."""
        self._peak = max([self._peak, *(use.peak for share in running if (use := _use(share)) is not None)])

    def gpu_with_room(self, running: Sequence["TrainingShare"]) -> str | None:
        """Return the GPU for one more training, the one with the fewest that has room; None if none has.

        A GPU without trainings always has. One with trainings has room if all of them have said what they take, and
        one more fits when each has grown to the largest so far.

        Args:
            running: shares of the trainings that run.
        """
        self.measure(running)
        on_gpu = {gpu: [share for share in running if share.gpu == gpu] for gpu in self._gpus}
        for gpu in sorted(self._gpus, key=lambda gpu: len(on_gpu[gpu])):
            said = [_use(share) for share in on_gpu[gpu]]
            uses = [use for use in said if use is not None]
            if len(uses) == len(said) and self._has_room(gpu, uses):
                return gpu
        return None

    def _has_room(self, gpu: str, uses: Sequence[GpuUse]) -> bool:
        if not uses:
            return True
        # Whoever looked last: each tells what is free of the whole GPU, and all look every few seconds.
        free = min(use.free for use in uses)
        reserved = {number: use.reserved for number, use in enumerate(uses)}
        if has_room(free - CONTEXT, peak=self._peak, running=reserved):
            return True
        self._tell_once(gpu, uses, free)
        return False

    def _tell_once(self, gpu: str, uses: Sequence[GpuUse], free: int) -> None:
        if (gpu, len(uses)) in self._told:
            return
        self._told.add((gpu, len(uses)))
        growing = sum(self._peak - use.reserved for use in uses)
        grown = f"; those that run may still take {growing / GIB:.1f}" if growing >= GIB / 10 else ""
        self._tell(
            f"GPU {gpu} has {free / GIB:.1f} of {uses[0].total / GIB:.1f} GiB free beside "
            f"{how_many(len(uses), 'training')}, and one more may take {(self._peak + CONTEXT) / GIB:.1f} "
            f"({self._peak / GIB:.1f} as the largest so far and {CONTEXT / GIB:.1f} for CUDA itself{grown}): the next "
            "one waits"
        )


def _use(share: "TrainingShare") -> GpuUse | None:
    return None if share.gpu_use is None else read_gpu_use(share.gpu_use)
