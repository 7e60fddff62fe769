"""What the doctor finds, one line each."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "hint", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: what was looked at.
        level: "ok", "hint" (it works, and could work better) or "problem" (it keeps a training from running).
        text: what was found.
        remedy: what to do about a hint or a problem.
    """

    name: str
    text: str
    level: Level = "ok"
    remedy: str = ""


def gibibytes(n_bytes: float) -> str:
    """Return a size for people: three digits, in MiB below one GiB."""
    return f"{n_bytes / 2**30:.3g} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.3g} MiB"
