"""Making any image size acceptable to a network that halves it several times, and undoing that."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def pad_to_multiple(x: Tensor, multiple: int | Sequence[int]) -> Tensor:
    """Repeat the last positions of every spatial axis until its size is a multiple.

    The image keeps its place, so cropping the result to the old size undoes the padding; an image that already fits
    is returned itself. Zeros instead would be an edge that no training image has.

    Args:
        x: (b, c, *spatial), every size at least 1.
        multiple: positive; one for all axes or one for each.

    Returns:
        (b, c, *spatial'), each spatial' the smallest multiple not below the size.
    """
    sizes = x.shape[2:]
    multiples = [multiple] * len(sizes) if isinstance(multiple, int) else multiple
    # Not -size % of_axis: torch's compiler cannot divide a negative size that it does not know.
    missing = [(size + of_axis - 1) // of_axis * of_axis - size for size, of_axis in zip(sizes, multiples, strict=True)]
    if not any(missing):
        return x
    # The padding names the last axis first, each as (before, after).
    return functional.pad(x, [amount for after in reversed(missing) for amount in (0, after)], mode="replicate")


def crop_to(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the first positions of every spatial axis of ``x``, (b, c, *spatial): (b, c, *sizes).

    Where nothing is to be cropped, ``x`` itself is returned.
    """
    if tuple(x.shape[2:]) == tuple(sizes):
        return x
    kept = (slice(None), slice(None), *(slice(size) for size in sizes))
    return x[kept]
