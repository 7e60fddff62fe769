"""How the Triton kernels divide a scan into programs of one warp, from its sizes alone.

A GPU with m multiprocessors runs 12 m of these programs at a time: with 168 registers a lane, which the kernels are
compiled for, each of a multiprocessor's four schedulers holds three warps. Of the plans for a scan the one is taken
whose busiest scheduler has least to do: a wave, full or not, takes the time of three warps that share a scheduler,
because fewer leave it idle while they wait for their own results.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from nnunet_mamba.ops.scan.operands import SAVED_EVERY

_Plan = TypeVar("_Plan")

REGISTERS = 168
RESIDENT_PER_MULTIPROCESSOR = 12
# Warp instructions per channel and token of 16 states, as counted in compiled code, by the lanes that hold a token's
# channels: with fewer, other lanes hold states, and their sums take shuffles.
_FORWARD_COSTS = {4: 7.0, 8: 5.9, 16: 5.1, 32: 4.7}
_BACKWARD_COSTS = {1: 19.0, 2: 17.0}  # by the channels of a lane
_SEGMENT_END_COST = 4.0
# In clocks: two more launches, and a step of the loop that passes the state from segment to segment.
_LAUNCHES, _CARRY = 10_000, 700
_BUSY = 8
_NUMBERS_PER_TILE = 1024
_SMALL = 16 * 2**20  # bytes
_ABOUT = 1.05
PLANS = 1024


class Sizes(NamedTuple):
    """The sizes of a scan: batch, channels, tokens, states, groups, and bytes of a number of u."""

    b: int
    d: int
    length: int
    n: int
    groups: int
    itemsize: int


@dataclass(frozen=True)
class Tile:
    """The sizes of a kernel's tiles, (T, K, N, D) tokens, channels, states and channels again; powers of two."""

    T: int
    K: int
    N: int
    D: int

    @property
    def channels(self) -> int:
        """The channels of a program."""
        return self.K * self.D


@dataclass(frozen=True)
class Plan:
    """How a scan is divided into programs.

    Args:
        tile: what a program computes at a time.
        segment_length: tokens of an item of work, a multiple of 64.
        n_segments: items that the tokens need.
        n_buffers: items that share the slots of a group, and places for the sums of dB and dC.
        n_items: items of work.
        n_programs: programs that share the items; in the forward pass each has one.
        stages: tiles whose loads overlap.
    """

    tile: Tile
    segment_length: int
    n_segments: int
    n_buffers: int
    n_items: int
    n_programs: int
    stages: int = 1

    def waves(self, n_multiprocessors: int) -> float:
        """Return how many times over the items fill the GPU."""
        return self.n_items / (RESIDENT_PER_MULTIPROCESSOR * n_multiprocessors)


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def _tile(sizes: Sizes, *, lanes: int, rows: int, longest: int, numbers: int) -> Tile:
    """Return a tile with at most ``lanes`` channels side by side and ``rows`` in a lane, and ``longest`` tokens."""
    N = _power_of_two(sizes.n)
    channels = _power_of_two(sizes.d // sizes.groups)
    D = min(channels, max(lanes, 32 // N), max(1, numbers // (4 * N)))
    K = min(rows, channels // D) if 4 <= N <= 16 else 1
    return Tile(T=max(1, min(longest, numbers // (K * N * D))), K=K, N=N, D=D)


def _time(n_items: int, n_multiprocessors: int, instructions: float) -> float:
    """Return the clocks of the busiest scheduler, for items of so many instructions."""
    waves = -(-n_items // (RESIDENT_PER_MULTIPROCESSOR * n_multiprocessors))
    return waves * instructions * RESIDENT_PER_MULTIPROCESSOR / 4


def cheapest(plans: Iterable[tuple[float, _Plan]]) -> _Plan:
    """Return the first plan that is about as fast as the fastest; those that need more memory come later."""
    plans = [*plans]
    limit = _ABOUT * min(time for time, _ in plans)
    return next(plan for time, plan in plans if time <= limit)


def _segment_lengths(length: int) -> list[int]:
    """Return lengths of segments worth a look, the longest first: chunks of 64 tokens, shared as evenly as they go."""
    n_chunks = -(-length // SAVED_EVERY)
    return [
        SAVED_EVERY * chunks for chunks in sorted({-(-n_chunks // k) for k in range(1, n_chunks + 1)}, reverse=True)
    ]


def _segment_time(sizes: Sizes, segment_length: int, n_multiprocessors: int) -> float:
    """Return what it takes to find the states that segments start from."""
    if segment_length >= sizes.length:
        return 0.0
    n_segments = -(-sizes.length // segment_length)
    n_items = sizes.b * n_segments * -(-sizes.d // 8)
    return _LAUNCHES + _CARRY * n_segments + _time(n_items, n_multiprocessors, _SEGMENT_END_COST * 8 * segment_length)


def _forward(sizes: Sizes, n_multiprocessors: int, lanes: int, segment_length: int) -> tuple[float, Plan]:
    numbers = _NUMBERS_PER_TILE * (2 if lanes > 8 else 1)
    tile = _tile(sizes, lanes=lanes, rows=1, longest=16, numbers=numbers)
    n_slots = -(-(sizes.d // sizes.groups) // tile.channels)
    n_segments = -(-sizes.length // segment_length)
    n_items = sizes.b * sizes.groups * n_slots * n_segments
    # Loads of the next tile while one is computed; of the next two where few other warps run meanwhile.
    stages = 2 if n_items >= _BUSY * n_multiprocessors else 3
    cost = _FORWARD_COSTS[lanes] * tile.channels * tile.N / 16 * min(segment_length, sizes.length)
    time = _time(n_items, n_multiprocessors, cost) + _segment_time(sizes, segment_length, n_multiprocessors)
    return time, Plan(tile, segment_length, n_segments, n_slots, n_items, n_items, stages)


def forward_plans(sizes: Sizes, n_multiprocessors: int, segment_length: int | None = None) -> list[tuple[float, Plan]]:
    """Return plans of a forward scan, in segments of a given length or of any, with the clocks that they take."""
    lengths = _segment_lengths(sizes.length) if segment_length is None else [segment_length]
    return [_forward(sizes, n_multiprocessors, lanes, tokens) for tokens in lengths for lanes in sorted(_FORWARD_COSTS)]


@lru_cache(PLANS)
def forward_plan(sizes: Sizes, n_multiprocessors: int, segment_length: int | None = None) -> Plan:
    """Return the cheapest plan of a forward scan, or of its pass for the ends of segments of a given length."""
    return cheapest(forward_plans(sizes, n_multiprocessors, segment_length))


def _backward(sizes: Sizes, n_multiprocessors: int, rows: int, segment_length: int) -> Iterator[tuple[float, Plan]]:
    group_size = sizes.d // sizes.groups
    tile = _tile(sizes, lanes=8, rows=rows, longest=8, numbers=_NUMBERS_PER_TILE * rows // 2)
    n_slots = -(-group_size // tile.channels)
    n_segments = -(-sizes.length // segment_length)
    segments = _segment_time(sizes, segment_length, n_multiprocessors)
    for n_buffers in sorted({-(-n_slots // rounds) for rounds in range(1, n_slots + 1)}):
        if n_buffers > max(1, _room(sizes)):
            return
        n_items = sizes.b * sizes.groups * n_segments * n_buffers
        instructions = _BACKWARD_COSTS[rows] * tile.channels * tile.N / 16 * min(segment_length, sizes.length)
        time = _time(n_items, n_multiprocessors, instructions * -(-n_slots // n_buffers)) + segments
        n_programs = min(n_items, RESIDENT_PER_MULTIPROCESSOR * n_multiprocessors)
        yield time, Plan(tile, segment_length, n_segments, n_buffers, n_items, n_programs)


def _room(sizes: Sizes) -> int:
    """Return how many buffers of dB and dC there may be: as many as are small, or small beside the operands."""
    buffer = 2 * 4 * sizes.b * sizes.groups * sizes.n * sizes.length
    tokens = sizes.itemsize * sizes.b * sizes.d * sizes.length
    return max(_SMALL, 2 * tokens) // max(1, buffer)


@lru_cache(PLANS)
def backward_plan(sizes: Sizes, n_multiprocessors: int) -> Plan:
    """Return the cheapest plan of a backward scan, which is one launch."""
    plans = [
        plan
        for tokens in _segment_lengths(sizes.length)
        for rows in sorted(_BACKWARD_COSTS, reverse=True)
        for plan in _backward(sizes, n_multiprocessors, rows, tokens)
    ]
    return cheapest(plans)
