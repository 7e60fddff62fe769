"""What every network asks of its sizes and of the images it gets."""

from torch import Tensor

_AXES = {2: "h, w", 3: "d, h, w"}


def require_positive(owner: str, **sizes: int) -> None:
    """Raise a ValueError that names the first of the ``sizes`` that is below 1; ``owner`` names the network."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{owner}: {name}={size}, expected at least 1; pass the data's own number")


def require_images(owner: str, x: Tensor, *, input_channels: int, spatial_dims: int) -> None:
    """Raise a ValueError if ``x`` is not a batch of images with these channels and axes.

    Args:
        owner: network's name, for the error.
        x: what the network was given.
        input_channels: that it was created for.
        spatial_dims: 2 or 3.
    """
    if x.ndim == 2 + spatial_dims and x.shape[1] == input_channels and 0 not in x.shape:
        return
    way_out = "pass slices of a volume as a batch" if spatial_dims == 2 else "give a single slice a depth axis of 1"
    raise ValueError(
        f"{owner}: input of shape {tuple(x.shape)}, expected (b, {input_channels}, {_AXES[spatial_dims]}): this "
        f"network takes {spatial_dims}D images with {input_channels} channels; {way_out}, or create the network with "
        f"another input_channels"
    )
