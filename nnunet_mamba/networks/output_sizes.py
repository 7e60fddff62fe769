"""How large a network's logits are: as large as the image, and with deep supervision smaller ones besides."""

from collections.abc import Sequence

from torch import Tensor

from nnunet_mamba.blocks.pad_to_multiple import crop_to

# Of every output, the highest resolution first: by how much each axis is smaller than the image's.
Reductions = Sequence[Sequence[int]]


def reduced_size(size: Sequence[int], reduction: Sequence[int]) -> tuple[int, ...]:
    """Return how many positions ``reduction`` leaves of every axis of ``size``, a last one in part included."""
    # Not -(-length // factor): torch's compiler cannot divide a negative size that it does not know.
    return tuple((length + factor - 1) // factor for length, factor in zip(size, reduction, strict=True))


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
