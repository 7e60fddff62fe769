"""What each process of a training says of a step that is not finite, and in whose batch it began."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import torch
import torch.distributed as dist


class Suspicion(IntEnum):
    """How likely it is that a step that is not finite began in the batch of one process."""

    ELSEWHERE = 0  # its loss is finite, that of another process is not
    SHARED = 1  # its loss or the gradients are not finite, which others contribute to
    OUTPUT = 2  # its logits are not finite, which others reach only through statistics of all batches
    IMAGES = 3  # its images are not finite


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What one process says of the step.

    Args:
        cause: what is not finite.
        where: a sentence on where that began; None if unknown.
        cases: identifiers of its batch, sorted.
        suspicion: against its batch.
    """

    cause: str
    where: str | None
    cases: tuple[str, ...]
    suspicion: Suspicion


def is_distributed() -> bool:
    """Return whether this process is one of several that train together."""
    return dist.is_available() and dist.is_initialized()


def in_any_process(flag: bool, device: torch.device) -> bool:
    """Return whether ``flag`` is set in any process of a training: a process that left alone would block the others."""
    if not is_distributed():
        return flag
    flags = torch.tensor(int(flag), device=device)
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags.item())


def diagnoses_of_all(own: Diagnosis) -> list[Diagnosis]:
    """Return the diagnoses of all processes, by rank; all of them must call this."""
    if not is_distributed():
        return [own]
    diagnoses: list[Diagnosis | None] = [None] * dist.get_world_size()
    dist.all_gather_object(diagnoses, own)
    return cast("list[Diagnosis]", diagnoses)


def causes_and_reasons(diagnoses: Sequence[Diagnosis]) -> tuple[str, str]:
    """Return what is not finite in short, and in sentences with the place and the cases of the suspect batches.

    Args:
        diagnoses: of all processes, by rank.
    """
    most = max(diagnosis.suspicion for diagnosis in diagnoses)
    ranks_by_cause: dict[tuple[str, str | None], list[int]] = {}
    for rank, diagnosis in enumerate(diagnoses):
        if diagnosis.suspicion == most:
            ranks_by_cause.setdefault((diagnosis.cause, diagnosis.where), []).append(rank)
    causes, reasons = [], []
    for (cause, where), ranks in ranks_by_cause.items():
        if len(ranks) < len(diagnoses):
            cause = f"{cause} in process {', '.join(map(str, ranks))}"
        cases = ", ".join(sorted({case for rank in ranks for case in diagnoses[rank].cases})) or "unknown"
        causes.append(cause)
        reasons.append(f"{cause}. {where + ' ' if where else ''}Cases of this batch: {cases}.")
    return "; ".join(causes), "\n".join(reasons)
