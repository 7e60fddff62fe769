"""How a network of fixed depth pools volumes that nnU-Net planned for a depth of its own."""

from collections.abc import Sequence

# nnU-Net does not pool an axis below this many positions either.
SMALLEST_POOLED = 4


def pooling_of_plan(
    strides: Sequence[Sequence[int]], patch_size: Sequence[int], *, n_poolings: int
) -> tuple[tuple[int, ...], ...]:
    """Return the strides of the poolings.

    The plan's strides come first, because they spare thin axes; a deeper network goes on halving the axes that stay
    long enough.

    Args:
        strides: of the plan's stages, the first of which does not pool.
        patch_size: voxels per axis.
        n_poolings: of the network.
    """
    poolings = [tuple(int(factor) for factor in stride) for stride in strides[1 : n_poolings + 1]]
    sizes = list(patch_size)
    for pooling in poolings:
        sizes = [size // factor for size, factor in zip(sizes, pooling, strict=True)]
    while len(poolings) < n_poolings:
        pooling = tuple(2 if size >= 2 * SMALLEST_POOLED else 1 for size in sizes)
        sizes = [size // factor for size, factor in zip(sizes, pooling, strict=True)]
        poolings.append(pooling)
    return tuple(poolings)
