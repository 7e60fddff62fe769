"""What the user asks of a planning; measurements decide the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.planning.patches import Patch


@dataclass(frozen=True, kw_only=True)
class PlanningRequest:
    """What the user sets by hand.

    Args:
        configurations: names of those to plan; empty for all that suit.
        batch_size: None to choose it.
        patch_size: None to choose it.
    """

    configurations: Sequence[str] = ()
    batch_size: int | None = None
    patch_size: Patch | None = None
