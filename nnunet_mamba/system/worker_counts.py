"""How many processes of nnU-Net fit a training's share of the machine."""

from typing import NamedTuple

# nnU-Net's own numbers of processes, which more cores do not change.
MOST_AUGMENTING = 12
MOST_EXPORTING = 8
# nnU-Net's variables for the two.
AUGMENTING_VARIABLE = "nnUNet_n_proc_DA"
EXPORTING_VARIABLE = "nnUNet_def_n_proc"


class WorkerCounts(NamedTuple):
    """Processes that nnU-Net starts beside a training.

    Args:
        augmenting: that load and augment training batches.
        exporting: that write and score predictions of the final validation.
    """

    augmenting: int
    exporting: int


def fitting_worker_counts(cores: int, *, on_gpu: bool) -> WorkerCounts:
    """Return the numbers for a training with so many cores.

    Args:
        cores: at least one.
        on_gpu: whether the network computes elsewhere.
    """
    # On a CPU the network itself takes the cores, and augmentation can keep up with half of them.
    workers = cores if on_gpu else max(1, cores // 2)
    return WorkerCounts(min(workers, MOST_AUGMENTING), min(workers, MOST_EXPORTING))
