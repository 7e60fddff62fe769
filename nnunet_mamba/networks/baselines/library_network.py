"""What networks of other libraries are here: the library's own modules, with their head where all of ours have it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import is_whole
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork


class LibraryNetwork(SegmentationNetwork):
    """Segment images with a network of another library; its weights begin at random, and nothing is downloaded.

    Weights that were saved by the library itself load, under the library's names.

    Args:
        input_channels: channels of the images.
        body: the library's network, which is changed: without its head it returns what the head gets.
        size_multiple: see ``SegmentationNetwork``.
    """

    library_head: ClassVar[str]
    """The library's name of the module that makes the logits."""

    body: Any

    def __init__(self, input_channels: int, body: nn.Module, *, size_multiple: Sequence[int]) -> None:
        super().__init__(input_channels, size_multiple=size_multiple, output_reductions=((1,) * len(size_multiple),))
        self.body = body
        self.decoder = Head(_take_out(body, self.library_head))

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, *spatial)."""
        logits: Tensor = self.decoder(self.body(x))
        return logits

    @property
    def published_names(self) -> Mapping[str, str]:
        """The library's names: without the body, and the head under its own."""
        children = {f"body.{name}": name for name, _ in self.body.named_children()}
        return {**children, "decoder.seg_layers.0": self.library_head}


class OneSizeNetwork(LibraryNetwork):
    """Segment images of one size: the library's transformer has a weight for every position.

    Args:
        input_channels: channels of the images.
        body: the library's network for images of ``input_size``, each axis padded to a multiple of ``multiple``.
        input_size: of every image.
        multiple: see there.
    """

    def __init__(self, input_channels: int, body: nn.Module, *, input_size: Sequence[int], multiple: int) -> None:
        super().__init__(input_channels, body, size_multiple=(multiple,) * len(input_size))
        self.input_size = tuple(input_size)

    def check_images(self, x: Tensor) -> None:
        """Refuse what no network takes, and images of another size."""
        super().check_images(x)
        size = tuple(x.shape[2:])
        if size != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: images of size {size}, expected input_size={self.input_size}, which the "
                f"weights are tied to; pass patches of that size, or create the network with another input_size"
            )


class Head(nn.Module):
    """The library's head, under the name that nnU-Net leaves out of pretrained weights."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.seg_layers = nn.ModuleList([head])

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (b, num_classes, *spatial) of maps ``x``."""
        logits: Tensor = self.seg_layers[0](x)
        return logits


def built_with_numbers(make: Callable[[], nn.Module]) -> nn.Module:
    """Return what ``make`` builds, on the default device.

    Some libraries read numbers off the tensors of their constructors, which the device meta has not.
    """
    try:
        return make()
    except RuntimeError:
        # Older versions of torch.get_default_device() know nothing of a ``with torch.device(...)``.
        if torch.empty(0).device.type != "meta":
            raise
    with torch.device("cpu"):
        network = make()
    return network.to("meta")


def padded_size(owner: str, input_size: Sequence[int], *, multiple: int, spatial_dims: int) -> tuple[int, ...]:
    """Return a size with every axis padded to a multiple.

    Args:
        owner: the network, named in the error.
        input_size: its argument, not checked yet.
        multiple: of which every axis becomes one.
        spatial_dims: numbers that ``input_size`` must have.

    Raises:
        ValueError: ``input_size`` is no size of images.
    """
    is_per_axis = isinstance(input_size, (list, tuple)) and len(input_size) == spatial_dims
    if not is_per_axis or not all(is_whole(size) and size >= 1 for size in input_size):
        raise ValueError(
            f"{owner}: input_size={input_size!r}, expected {spatial_dims} numbers of at least 1, one per axis; pass "
            f"the size of the patches"
        )
    return tuple(-(-size // multiple) * multiple for size in input_size)


def _take_out(body: nn.Module, name: str) -> nn.Module:
    """Return the part of that name, and leave in its place what changes nothing."""
    part = body.get_submodule(name)
    parent, _, last = name.rpartition(".")
    setattr(body.get_submodule(parent), last, nn.Identity())
    return part
