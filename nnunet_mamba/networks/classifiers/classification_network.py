"""The contract of a network that tells what an image shows: what it tells those that build, count and train it."""

import inspect
from collections.abc import Mapping
from typing import NoReturn

from torch import Tensor, nn

from nnunet_mamba.blocks.torch_script import held_to_trace, refuse_script
from nnunet_mamba.ops.transforms import is_traced


class ClassificationNetwork(nn.Module):
    """Turn images into one number for each class.

    A new network is a subclass. It provides a constructor ``(input_channels, num_classes, *, ...)`` whose further
    arguments are keyword-only, ``features``, and the linear layer ``head``, the only part that depends on the classes.
    A network with weights for each place in the image has an argument ``image_size``, (h, w) or one number for both.
    For weights of published code, map our names to the published ones in a property ``published_names``.

    Args:
        input_channels: channels of the images.
    """

    head: nn.Linear

    def __init__(self, input_channels: int) -> None:
        super().__init__()
        self.input_channels = input_channels

    @classmethod
    def keyword_arguments(cls) -> Mapping[str, inspect.Parameter]:
        """Return the keyword arguments of the constructor, by their names."""
        parameters = inspect.signature(cls).parameters
        return {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (b, num_classes) of images ``x``, (b, input_channels, h, w).

        Raises:
            TypeError: ``x`` is no tensor of floating-point numbers.
            ValueError: it has another shape, or no images or pixels.
        """
        self.check_images(x)
        if is_traced():
            x = held_to_trace(x, owner=type(self).__name__, scans=self.uses_scan())
        logits: Tensor = self.head(self.features(x))
        return logits

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse ``torch.jit.script``, which asks every module for this first."""
        refuse_script(type(self).__name__)

    def features(self, x: Tensor) -> Tensor:
        """Return what ``head`` reads, (b, d), of images ``x``."""
        raise NotImplementedError(f"{type(self).__name__} has no features(); see ClassificationNetwork")

    def check_images(self, x: Tensor) -> None:
        """Refuse what is not a batch of images that the network takes."""
        raise NotImplementedError(f"{type(self).__name__} has no check_images(); see ClassificationNetwork")

    def uses_scan(self) -> bool:
        """Return whether a block runs our selective scan; such a block says so in its attribute ``scans``."""
        return any(getattr(module, "scans", False) for module in self.modules())
