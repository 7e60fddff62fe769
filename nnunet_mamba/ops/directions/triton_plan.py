"""How the Triton kernels divide a cross scan into programs: as a scan whose batch entries are the directions."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from nnunet_mamba.ops.scan.triton_plan import PLANS, RESIDENT_PER_MULTIPROCESSOR, Plan, Sizes, Tile, backward_plan
from nnunet_mamba.ops.scan.triton_plan import forward_plan as scan_plan

# What a share of the directions may cost, as more of them are summed in memory, which takes about a quarter of a scan.
_WORTH_A_SUM = 1.25


def _largest_power_of_two(number: int) -> int:
    """Return the largest power of two that is not above a positive number."""
    return 1 << (number.bit_length() - 1)


def fitting_tile(tile: Tile, spatial: Sequence[int]) -> Tile:
    """Return a tile with no more tokens than a line of the map has positions."""
    return replace(tile, T=min(tile.T, _largest_power_of_two(min(spatial))))


@lru_cache(PLANS)
def cross_forward_plan(sizes: Sizes, n_multiprocessors: int, n_directions: int) -> tuple[Plan, int]:
    """Return how a forward scan is divided, and in how many shares of directions.

    Args:
        sizes: of a scan whose batch entries are the directions.
        n_multiprocessors: of the GPU.
        n_directions: of the cross scan.
    """
    plan = scan_plan(sizes, n_multiprocessors)
    if plan.n_segments > 1:
        # The segments of two directions share positions, so that they cannot be summed in place.
        return plan, n_directions

    def waves(n_shares: int) -> int:
        n_items = plan.n_items // n_directions * n_shares
        return -(-n_items // (RESIDENT_PER_MULTIPROCESSOR * n_multiprocessors)) * (n_directions // n_shares)

    shares = [n for n in range(1, n_directions + 1) if n_directions % n == 0]
    fewest = min(map(waves, shares))
    n_shares = next(n for n in shares if waves(n) <= _WORTH_A_SUM * fewest)
    n_items = plan.n_items // n_directions * n_shares
    return replace(plan, n_items=n_items, n_programs=n_items), n_shares


cross_backward_plan = backward_plan
