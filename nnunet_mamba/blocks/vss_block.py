"""The VSS block of VM-UNet: x + DropPath(SS2D(LayerNorm(x)))."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_probability
from nnunet_mamba.blocks.drop_path import DropPath
from nnunet_mamba.blocks.ss2d import SS2D, require_channels_last


class VSSBlock(nn.Module):
    """Add to a map what SS2D makes of it.

    Args:
        d_model: width of the map.
        drop_path: probability with which training leaves a case of the batch as it is, in [0, 1).
        d_state: size n of SS2D's states.
        scan: False leaves SS2D's scan out, see there.

    Raises:
        ValueError: an argument is outside its range.

    Source:
        Ruan et al. 2024, "VM-UNet", arXiv:2402.02491; its networks pass the norm's eps 1e-5.
    """

    published_names: ClassVar[Mapping[str, str]] = {"norm": "ln_1", "ss2d": "self_attention"}

    def __init__(self, d_model: int, *, drop_path: float = 0.0, d_state: int = 16, scan: bool = True) -> None:
        super().__init__()
        require_probability("VSSBlock", "drop_path", drop_path)
        self.ss2d = SS2D(d_model, d_state=d_state, scan=scan)
        self.norm = nn.LayerNorm(d_model, eps=1e-5)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, h, w, d_model), into the same shape, in the precision of the weights."""
        require_channels_last("VSSBlock", x, self.ss2d.d_model)
        mixed: Tensor = x + self.drop_path(self.ss2d(self.norm(x)))
        return mixed
