"""UNeXt's MLP, which sees neighbours without attention: its channels are taken from other rows, then other columns."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole

# By how many positions a fifth of the channels is shifted at most; the fifths are shifted by -2 to 2.
REACH = 2
HEIGHT, WIDTH = 1, 2


class ShiftedMLP(nn.Module):
    """Mix a map's channels, shifted along the height and then along the width, with a convolution of each between.

    map = GELU(depthwise(first(shift(map, height)))); map = second(shift(map, width))

    Args:
        d_model: width of the map.

    Raises:
        ValueError: ``d_model`` is not a positive integer.

    Source:
        Valanarasu and Patel 2022, "UNeXt", arXiv:2203.04967.
    """

    published_names: ClassVar[Mapping[str, str]] = {"first": "fc1", "depthwise": "dwconv.dwconv", "second": "fc2"}

    def __init__(self, d_model: int) -> None:
        super().__init__()
        require_whole("ShiftedMLP", d_model=d_model)
        self.first = nn.Linear(d_model, d_model)
        self.depthwise = nn.Conv2d(d_model, d_model, 3, padding=1, groups=d_model)
        self.second = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, h, w, d_model), into the same shape."""
        convolved = self.depthwise(self.first(shift_channels(x, HEIGHT)).permute(0, 3, 1, 2))
        x = functional.gelu(convolved).permute(0, 2, 3, 1)
        mixed: Tensor = self.second(shift_channels(x, WIDTH))
        return mixed


def shift_channels(x: Tensor, axis: int) -> Tensor:
    """Shift the channels by fifths: the first by two positions towards smaller indices, the last as far the other way.

    Zeros come in at the borders. A fifth is rounded up, so that the last one may be smaller, or missing.

    Args:
        x: (b, h, w, c).
        axis: ``HEIGHT`` or ``WIDTH``.
    """
    size = x.shape[axis]
    # The padding names the last axis first, each as (before, after).
    padded = functional.pad(x, (0, 0, *(0, 0) * (WIDTH - axis), REACH, REACH))
    fifths = padded.chunk(2 * REACH + 1, dim=3)
    return torch.cat([fifth.narrow(axis, 2 * REACH - place, size) for place, fifth in enumerate(fifths)], dim=3)
