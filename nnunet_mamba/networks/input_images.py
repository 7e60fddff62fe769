"""What every network asks of its sizes and of the images it gets."""

from typing import Any

from torch import Tensor

from nnunet_mamba.blocks.arguments import is_whole

_AXES = {2: "h, w", 3: "d, h, w"}


def require_positive(owner: str, **sizes: Any) -> None:
    """Raise a ValueError that names the first of the ``sizes`` that is no whole number of at least 1.

    Args:
        owner: the network, named in the error.
        sizes: by the argument's name.
    """
    for name, size in sizes.items():
        if not is_whole(size) or size < 1:
            whole = "" if is_whole(size) else "a whole number of "
            raise ValueError(f"{owner}: {name}={size!r}, expected {whole}at least 1; pass the data's own number")


def require_images(owner: str, x: Tensor, *, input_channels: int, spatial_dims: int) -> None:
    """Refuse what is not a batch of images with these channels and axes.

    Args:
        owner: network's name, for the error.
        x: what the network was given.
        input_channels: that it was created for.
        spatial_dims: 2 or 3.

    Raises:
        TypeError: ``x`` is no tensor of floating-point numbers.
        ValueError: it has another shape, or no images or positions.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{owner}: input is a {type(x).__name__}, expected a tensor of images; use torch.as_tensor")
    if not x.is_floating_point():
        raise TypeError(f"{owner}: images are {x.dtype}, expected floating-point numbers; use images.float()")
    expected = f"(b, {input_channels}, {_AXES[spatial_dims]})"
    if x.ndim != 2 + spatial_dims or x.shape[1] != input_channels:
        way_out = "pass slices of a volume as a batch" if spatial_dims == 2 else "give a single slice a depth axis of 1"
        raise ValueError(
            f"{owner}: input of shape {tuple(x.shape)}, expected {expected}: this network takes {spatial_dims}D images "
            f"with {input_channels} channels; {way_out}, or create the network with another input_channels"
        )
    if x.shape[0] == 0:
        raise ValueError(
            f"{owner}: a batch of 0 images (shape {tuple(x.shape)}), expected at least one; leave empty batches out"
        )
    if 0 in x.shape:
        raise ValueError(
            f"{owner}: images without pixels (shape {tuple(x.shape)}), expected {expected} with every size at least 1"
        )
