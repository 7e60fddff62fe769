"""Vision Mamba (Vim): an image's patches as one sequence that Mamba reads from both ends.

Source: Zhu et al. 2024, "Vision Mamba: Efficient Visual Representation Learning with Bidirectional State Space Model",
arXiv:2401.09417; names of weights, initial values and drop path of github.com/hustvl/Vim.
"""

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import is_whole, require_flags, require_probability, require_whole
from nnunet_mamba.blocks.drop_path import DropPath
from nnunet_mamba.blocks.vim_mixer import VimMixer
from nnunet_mamba.networks.classifiers.classification_network import ClassificationNetwork
from nnunet_mamba.networks.input_images import require_images, require_positive
from nnunet_mamba.networks.padding import pad_to_multiple
from nnunet_mamba.ops.autocast import without_autocast

EPS = 1e-5  # of the norms
DEVIATION = 0.02  # of positions, class token and head at the beginning


class Vim(ClassificationNetwork):
    """Classify images; the class token stands in the middle of the sequence.

    The weights hold a table of positions for ``image_size``. Images of another size get positions that are interpolated
    from it (bicubic), so published weights of 224 pixels classify images of 384. Sizes that are no multiple of the
    stride are padded. The sum that runs through all layers is kept in float32, whatever autocast says.

    Args:
        input_channels: channels of the images.
        num_classes: numbers that an image gets.
        image_size: pixels that the table of positions is made for, (h, w) or one number for both.
        patch_size: side of a patch, pixels.
        stride: pixels from one patch to the next, a divisor of ``patch_size``; None is ``patch_size``.
        d_model: width of the tokens.
        depth: layers.
        d_state: size n of the scans' states.
        drop_path_rate: probability that training leaves out the last layer; it falls linearly to 0 towards the first.
        halve: whether a layer's directions are averaged, or added.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        image_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        stride: int | None = None,
        d_model: int = 192,
        depth: int = 24,
        d_state: int = 16,
        drop_path_rate: float = 0.1,
        halve: bool = True,
    ) -> None:
        require_positive("Vim", input_channels=input_channels, num_classes=num_classes)
        require_whole("Vim", patch_size=patch_size, d_model=d_model, depth=depth, d_state=d_state)
        require_probability("Vim", "drop_path_rate", drop_path_rate)
        require_flags("Vim", halve=halve)
        super().__init__(input_channels)
        self.patch_size, self.stride = patch_size, _stride(stride, patch_size)
        self.grid = self._grid(_sides(image_size, patch_size))
        self.patch_embed = PatchProjection(input_channels, d_model, patch_size=patch_size, stride=self.stride)
        self.cls_token = nn.Parameter(torch.empty(1, 1, d_model))
        self.pos_embed = nn.Parameter(torch.empty(1, math.prod(self.grid) + 1, d_model))
        rates = torch.linspace(0, drop_path_rate, depth, device="cpu").tolist()
        # A layer adds what the one before it has made, and the last sum is the network's.
        self.layers = nn.ModuleList(
            VimLayer(d_model, d_state=d_state, drop_path=rate, halve=halve) for rate in (0.0, *rates[:-1])
        )
        self.drop_path = DropPath(drop_path_rate)
        self.norm_f = nn.RMSNorm(d_model, eps=EPS)
        self.head = nn.Linear(d_model, num_classes)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for parameter in (self.cls_token, self.pos_embed, self.head.weight):
            nn.init.trunc_normal_(parameter, std=DEVIATION)
        nn.init.zeros_(self.head.bias)
        for parameter in (self.cls_token, self.pos_embed):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        for layer in self.layers:
            assert isinstance(layer, VimLayer)
            layer.mixer.out_proj.weight.div_(math.sqrt(len(self.layers)))

    def check_images(self, x: Tensor) -> None:
        """Refuse what is not a batch of images, or smaller than a patch."""
        require_images("Vim", x, input_channels=self.input_channels, spatial_dims=2)
        if min(x.shape[2:]) < self.patch_size:
            raise ValueError(
                f"Vim: images of {x.shape[2]}×{x.shape[3]} pixels, expected at least {self.patch_size}×"
                f"{self.patch_size}, one patch; enlarge the images, or create the network with a smaller patch_size"
            )

    def features(self, x: Tensor) -> Tensor:
        """Return the class token after all layers, (b, d_model), of images ``x``, (b, c, h, w)."""
        x = pad_to_multiple(x, (self.stride, self.stride))
        grid = self._grid((x.shape[2], x.shape[3]))
        middle = math.prod(grid) // 2
        patches = self.patch_embed(x)  # (b, h w / stride², d_model)
        with without_autocast(x.device.type):
            patches = patches.to(self.pos_embed.dtype)
            token = self.cls_token.expand(x.shape[0], -1, -1)
            total = torch.cat((patches[:, :middle], token, patches[:, middle:]), dim=1) + self._positions(grid)
            made = None
            for layer in self.layers:
                total, made = layer(total, made)
            # Only the class token is read, and the norm looks at each token by itself.
            of_class: Tensor = self.norm_f((total + self.drop_path(made))[:, middle])
            return of_class

    def _grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Return how many patches an image has from top to bottom and from left to right."""
        rows, columns = (max(0, side - self.patch_size + self.stride - 1) // self.stride + 1 for side in size)
        return rows, columns

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the table of positions for a grid of patches, (1, rows * columns + 1, d_model)."""
        if grid == self.grid:
            return self.pos_embed
        middle, new_middle = math.prod(self.grid) // 2, math.prod(grid) // 2
        of_class = self.pos_embed[:, middle : middle + 1]
        of_patches = torch.cat((self.pos_embed[:, :middle], self.pos_embed[:, middle + 1 :]), dim=1)
        table = torch.unflatten(of_patches.mT, 2, self.grid)
        resized = functional.interpolate(table, size=grid, mode="bicubic", align_corners=False).flatten(2).mT
        return torch.cat((resized[:, :new_middle], of_class, resized[:, new_middle:]), dim=1)


class PatchProjection(nn.Module):
    """Turn patches of an image into tokens, row by row: a convolution without padding or norm."""

    def __init__(self, in_channels: int, d_model: int, *, patch_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, d_model, patch_size, stride=stride)
        # LeCun's normal distribution, cut at two of torch's `std`, which is that before the cut; what is cut off takes
        # 12 % of it.
        deviation = (in_channels * patch_size**2) ** -0.5 / 0.87962566103423978
        nn.init.trunc_normal_(self.proj.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        assert self.proj.bias is not None
        nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (b, in_channels, h, w) into tokens (b, l, d_model)."""
        tokens: Tensor = self.proj(x).flatten(2).mT
        return tokens


class VimLayer(nn.Module):
    """Add what the layer before has made to the sum of all layers, and make the next summand of it."""

    def __init__(self, d_model: int, *, d_state: int, drop_path: float, halve: bool) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(d_model, eps=EPS)
        self.mixer = VimMixer(d_model, d_state=d_state, halve=halve)
        self.drop_path = DropPath(drop_path)

    def forward(self, total: Tensor, made: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the new sum and what this layer makes of it.

        Args:
            total: sum before, (b, l, d_model).
            made: by the layer before, of that shape; None in the first layer.
        """
        if made is not None:
            total = total + self.drop_path(made)
        return total, self.mixer(self.norm(total))


def _stride(stride: int | None, patch_size: int) -> int:
    stride = patch_size if stride is None else stride
    require_whole("Vim", stride=stride)
    if patch_size % stride:
        raise ValueError(
            f"Vim: stride={stride} for patch_size={patch_size}, expected a divisor of it; the paper's are 16 and 8 for "
            f"patches of 16"
        )
    return stride


def _sides(image_size: int | Sequence[int], patch_size: int) -> tuple[int, int]:
    """Return the height and width that an argument names, each at least a patch."""
    sides: Any = (image_size, image_size) if is_whole(image_size) else image_size
    if not isinstance(sides, Sequence) or len(sides) != 2 or not all(map(is_whole, sides)) or min(sides) < patch_size:
        raise ValueError(
            f"Vim: image_size={image_size!r}, expected (h, w) in pixels or one number for both, each at least "
            f"patch_size={patch_size}; pass the size of the images"
        )
    return index(sides[0]), index(sides[1])
