"""Making any image size acceptable to a network that halves it several times, and undoing that."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

# Of every output, the highest resolution first: by how much each axis is smaller than the image's.
Reductions = Sequence[Sequence[int]]


def pad_to_multiple(x: Tensor, multiple: Sequence[int]) -> Tensor:
    """Repeat the last positions of every spatial axis until its size is a multiple.

    The image keeps its place, so cropping the result to the old size undoes the padding; an image that already fits
    is returned itself. Zeros instead would be an edge that no training image has.

    Args:
        x: (b, c, *spatial), every size at least 1.
        multiple: positive, one number per axis.

    Returns:
        (b, c, *spatial'), each spatial' the smallest multiple not below the size.
    """
    sizes = x.shape[2:]
    # Not -size % of_axis: torch's compiler cannot divide a negative size that it does not know.
    missing = [(size + of_axis - 1) // of_axis * of_axis - size for size, of_axis in zip(sizes, multiple, strict=True)]
    if not any(missing):
        return x
    # The padding names the last axis first, each as (before, after).
    return functional.pad(x, [amount for after in reversed(missing) for amount in (0, after)], mode="replicate")


def crop_outputs(logits: Tensor | list[Tensor], size: Sequence[int], reductions: Reductions) -> Tensor | list[Tensor]:
    """Cut off what the logits of a padded image have beyond the image.

    Args:
        logits: (b, num_classes, *spatial), or a list of one for every reduction.
        size: of the image before it was padded.
        reductions: of the list's logits.
    """
    if isinstance(logits, Tensor):
        return crop_to(logits, size)
    return [crop_to(level, reduced_size(size, reduction)) for level, reduction in zip(logits, reductions, strict=True)]


def crop_to(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the first positions of every spatial axis of ``x``, (b, c, *spatial): (b, c, *sizes).

    Where nothing is to be cropped, ``x`` itself is returned.
    """
    if tuple(x.shape[2:]) == tuple(sizes):
        return x
    kept = (slice(None), slice(None), *(slice(size) for size in sizes))
    return x[kept]


def reduced_size(size: Sequence[int], reduction: Sequence[int]) -> tuple[int, ...]:
    """Return how many positions ``reduction`` leaves of every axis of ``size``, an incomplete last one included."""
    # Not -(-length // factor): torch's compiler cannot divide a negative size that it does not know.
    return tuple((length + factor - 1) // factor for length, factor in zip(size, reduction, strict=True))
