"""torch's layers by the number of image axes: 2 for images, 3 for volumes."""

from torch import nn

_CONVOLUTIONS: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_BATCH_NORMS: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE_NORMS: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


def convolution_for(spatial_dims: int) -> type[nn.Module]:
    """Return the class of the convolution along ``spatial_dims`` axes, 2 or 3."""
    return _of(_CONVOLUTIONS, spatial_dims)


def batch_norm_for(spatial_dims: int) -> type[nn.Module]:
    """Return the class of the batch norm of maps with ``spatial_dims`` axes, 2 or 3."""
    return _of(_BATCH_NORMS, spatial_dims)


def instance_norm_for(spatial_dims: int) -> type[nn.Module]:
    """Return the class of the instance norm of maps with ``spatial_dims`` axes, 2 or 3."""
    return _of(_INSTANCE_NORMS, spatial_dims)


def _of(layers: dict[int, type[nn.Module]], spatial_dims: int) -> type[nn.Module]:
    if spatial_dims not in layers:
        raise ValueError(f"spatial_dims={spatial_dims}: expected 2 for images or 3 for volumes")
    return layers[spatial_dims]
