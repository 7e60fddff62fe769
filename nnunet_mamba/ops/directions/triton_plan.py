"""How the Triton kernels divide a cross scan into programs: as a scan whose batch entries are the directions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from nnunet_mamba.ops.scan.triton_plan import PLANS, Plan, Sizes, Tile, backward_plan, cheapest, forward_plans

# What a multiprocessor's share of the memory's speed is, in bytes a clock, and a launch in clocks.
_BYTES_PER_CLOCK, _LAUNCH = 18, 5_000


def _largest_power_of_two(number: int) -> int:
    """Return the largest power of two that is not above a positive number."""
    return 1 << (number.bit_length() - 1)


def fitting_tile(tile: Tile, spatial: Sequence[int]) -> Tile:
    """Return a tile with no more tokens than a line of the map has positions."""
    return replace(tile, T=min(tile.T, _largest_power_of_two(min(spatial))))


def _forward_plans(sizes: Sizes, n_multiprocessors: int, n_directions: int) -> Iterator[tuple[float, tuple[Plan, int]]]:
    """Yield plans with the number of shares of the directions, and their clocks, those that sum most in place first."""
    b = sizes.b // n_directions
    for n_shares in (n for n in range(1, n_directions + 1) if n_directions % n == 0):
        # The directions of a share follow each other as if they were one long scan.
        rounds = n_directions // n_shares
        one_scan = sizes._replace(b=b * n_shares, length=sizes.length * rounds)
        # The segments of two directions share positions, so that they cannot be summed in place.
        segment_length = one_scan.length if rounds > 1 else None
        numbers = (n_shares + 1) * b * sizes.d * sizes.length
        summing = 0.0 if n_shares == 1 else _LAUNCH + numbers * sizes.itemsize / (_BYTES_PER_CLOCK * n_multiprocessors)
        for time, plan in forward_plans(one_scan, n_multiprocessors, segment_length):
            yield time + summing, (plan, n_shares)


@lru_cache(PLANS)
def cross_forward_plan(sizes: Sizes, n_multiprocessors: int, n_directions: int) -> tuple[Plan, int]:
    """Return how a forward scan is divided, and in how many shares of directions.

    Args:
        sizes: of a scan whose batch entries are the directions.
        n_multiprocessors: of the GPU.
        n_directions: of the cross scan.
    """
    return cheapest(_forward_plans(sizes, n_multiprocessors, n_directions))


cross_backward_plan = backward_plan
