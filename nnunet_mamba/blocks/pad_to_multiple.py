"""Making any image size acceptable to a network that halves it several times."""

from torch import Tensor
from torch.nn import functional


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last positions of every spatial axis until its size is a multiple.

    The image keeps its place, so cropping the result to the old size undoes the padding; an image that already fits
    is returned itself. Zeros instead would be an edge that no training image has.

    Args:
        x: (b, c, *spatial), every size at least 1.
        multiple: positive.

    Returns:
        (b, c, *spatial'), each spatial' the smallest multiple not below the size.
    """
    missing = [-size % multiple for size in x.shape[2:]]
    if not any(missing):
        return x
    # The padding names the last axis first, each as (before, after).
    return functional.pad(x, [amount for after in reversed(missing) for amount in (0, after)], mode="replicate")
