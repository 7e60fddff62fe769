"""How the Triton kernels' work is divided: enough programs, full waves, and memory for those that run at a time."""

import pytest

from nnunet_mamba.ops.scan.triton_plan import (
    RESIDENT_PER_MULTIPROCESSOR,
    Sizes,
    backward_plan,
    forward_plan,
)

# UltraLight VM-UNet at batch 256, VM-UNet, the encoder of U-Mamba in 3D, and many channels.
LARGE = ((256, 12, 1024, 16, 1), (32, 768, 4096, 16, 4), (2, 256, 53_760, 16, 1), (32, 6144, 64, 16, 1))
BOTTLENECK = (2, 640, 210, 16, 1)


def _items(sizes, plan):
    """Return which items take which slots of channels and which tokens."""
    slots = -(-(sizes.d // sizes.groups) // plan.tile.channels)
    return [
        (b, group, segment, slot)
        for b in range(sizes.b)
        for group in range(sizes.groups)
        for segment in range(plan.n_segments)
        for buffer in range(plan.n_buffers)
        for slot in range(buffer, slots, plan.n_buffers)
    ], slots


@pytest.mark.parametrize("n", [1, 3, 16, 64, 100, 256])
@pytest.mark.parametrize(
    ("b", "d", "length", "groups"), [(1, 1, 1, 1), (2, 640, 210, 1), (3, 34, 130, 2), (1, 8, 2000, 8)]
)
def test_all_slots_and_tokens_are_taken_once(b, d, length, groups, n):
    sizes = Sizes(b, d, length, n, groups, 4)
    for n_multiprocessors in (1, 20, 132):
        for plan in (forward_plan(sizes, n_multiprocessors), backward_plan(sizes, n_multiprocessors)):
            items, slots = _items(sizes, plan)
            assert len(set(items)) == len(items) == b * groups * plan.n_segments * slots
            assert plan.n_items == b * groups * plan.n_segments * plan.n_buffers
            assert plan.segment_length % 64 == 0
            assert (plan.n_segments - 1) * plan.segment_length < length <= plan.n_segments * plan.segment_length
            assert n <= plan.tile.N


@pytest.mark.parametrize("n_multiprocessors", [132, 20])
@pytest.mark.parametrize("shape", LARGE)
def test_waves_of_the_backward_pass_are_full(shape, n_multiprocessors):
    plan = backward_plan(Sizes(*shape, 4), n_multiprocessors)
    waves = plan.n_items / (RESIDENT_PER_MULTIPROCESSOR * n_multiprocessors)
    assert waves / -(-waves // 1) >= 0.85


@pytest.mark.parametrize("n_multiprocessors", [132, 20])
@pytest.mark.parametrize("shape", [*LARGE, BOTTLENECK])
def test_programs_and_their_notes_are_those_that_run_at_a_time(shape, n_multiprocessors):
    plan = backward_plan(Sizes(*shape, 4), n_multiprocessors)
    assert plan.n_programs <= RESIDENT_PER_MULTIPROCESSOR * n_multiprocessors
    notes = 4 * plan.n_programs * 64 // plan.tile.T * plan.tile.N * plan.tile.channels
    assert notes <= 32 * 2**20


def test_few_channels_are_spread_over_segments_down_to_64_tokens():
    assert backward_plan(Sizes(*BOTTLENECK, 4), 132).n_programs >= 528
    few = backward_plan(Sizes(1, 16, 640, 16, 1, 4), 132)
    assert (few.segment_length, few.n_segments) == (64, 10)


def test_no_segments_where_channels_fill_the_gpu():
    for shape in LARGE[1], LARGE[3]:
        assert forward_plan(Sizes(*shape, 4), 132).n_segments == 1
        assert backward_plan(Sizes(*shape, 4), 132).n_segments == 1


def test_a_segment_keeps_the_length_that_is_asked_for():
    plan = forward_plan(Sizes(*BOTTLENECK, 4), 132, 128)
    assert (plan.segment_length, plan.n_segments) == (128, 2)


def test_sums_of_the_matrices_gradients_stay_small_beside_the_operands():
    sizes = Sizes(64, 1536, 4096, 64, 1, 2)
    plan = backward_plan(sizes, 132)
    sums = plan.n_buffers * 2 * 4 * sizes.b * sizes.n * sizes.length
    assert sums <= 2 * 2 * sizes.b * sizes.d * sizes.length
