"""SS2D, the two-dimensional selective scan: every pixel sees the image along rows and columns, from both ends.

With x, z = in_proj(map) and x = SiLU(depthwise convolution of x):
map' = out_proj(out_norm(sum over directions k of scan_k(x, dt_k, A_k, B_k, C_k, D_k)) · SiLU(z)), where dt_k, B_k and
C_k are linear functions of x, each direction with its own.
"""

import math
from collections.abc import Sequence
from typing import Literal, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_flags, require_whole
from nnunet_mamba.blocks.mamba import reset_state_space
from nnunet_mamba.blocks.torch_script import refuse_script
from nnunet_mamba.ops import cross_scan
from nnunet_mamba.ops.autocast import without_autocast

N_DIRECTIONS = 4


class SS2D(nn.Module):
    """Mix the pixels of a map, in the weights' float32 whatever autocast says, as the Mamba block does.

    Maps have their channels last, as in the published block: the norms and the linear layers work on channels.

    Args:
        d_model: width of the map.
        d_state: size n of the state of each inner channel.
        d_conv: side of the depthwise convolution, odd.
        expand: d_inner = expand * d_model.
        dt_rank: rank of the step size's projection; "auto" is ceil(d_model / 16).
        scan: False leaves the scan and its parameters out, so that only the convolution mixes the pixels.

    Raises:
        ValueError: a size is not a positive integer, or d_conv is even.

    Source:
        Liu et al. 2024, "VMamba", arXiv:2401.10166; parameter names and initial values of VM-UNet, Ruan et al. 2024,
        arXiv:2402.02491.
    """

    def __init__(
        self,
        d_model: int,
        *,
        d_state: int = 16,
        d_conv: int = 3,
        expand: int = 2,
        dt_rank: int | Literal["auto"] = "auto",
        scan: bool = True,
    ) -> None:
        super().__init__()
        require_whole("SS2D", d_model=d_model, d_state=d_state, d_conv=d_conv, expand=expand)
        rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        require_whole("SS2D", dt_rank=rank)
        require_flags("SS2D", scan=scan)
        if d_conv % 2 == 0:
            raise ValueError(
                f"SS2D: d_conv={d_conv}, expected an odd number, which keeps the map's size; pass {d_conv + 1}"
            )
        d_inner = expand * d_model
        self.d_model, self.d_state, self.dt_rank = d_model, d_state, rank
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv2d = nn.Conv2d(d_inner, d_inner, d_conv, groups=d_inner, padding=d_conv // 2)
        self.out_norm = nn.LayerNorm(d_inner)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        self.scans = scan
        if scan:
            self._add_state_space(d_inner, d_state, rank)

    def _add_state_space(self, d_inner: int, d_state: int, rank: int) -> None:
        self.x_proj_weight = nn.Parameter(torch.empty(N_DIRECTIONS, rank + 2 * d_state, d_inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(N_DIRECTIONS, d_inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(N_DIRECTIONS, d_inner))
        self.A_logs = nn.Parameter(torch.empty(N_DIRECTIONS * d_inner, d_state))
        self.Ds = nn.Parameter(torch.empty(N_DIRECTIONS * d_inner))
        # Decay would pull the time constants and the skip towards arbitrary values.
        for parameter in (self.A_logs, self.Ds):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        # The interval of a linear layer that reads d_inner numbers; the rest starts as a Mamba block's.
        nn.init.uniform_(self.x_proj_weight, -(d_inner**-0.5), d_inner**-0.5)
        reset_state_space(self.dt_projs_weight, self.dt_projs_bias, self.A_logs, self.Ds)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, h, w, d_model), into the same shape, in the precision of the weights."""
        require_channels_last("SS2D", x, self.d_model)
        with without_autocast(x.device.type):
            return self._mix(x.to(torch.promote_types(x.dtype, self.in_proj.weight.dtype)))

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse ``torch.jit.script``, which asks every module for this first."""
        refuse_script(type(self).__name__)

    def published_multiply_adds(self, x: Tensor, y: Tensor) -> int:
        """Return what the papers count for ``in_proj``, which the published block calls as a layer, unlike this one."""
        return x.numel() // self.d_model * self.in_proj.weight.numel()

    def _mix(self, x: Tensor) -> Tensor:
        spatial = x.shape[1:3]
        to_map, to_gate = self.in_proj.weight.chunk(2)
        inner = self.conv2d(functional.linear(x, to_map).permute(0, 3, 1, 2))  # channels last in memory
        # In place where nothing else needs the operand: fresh memory costs as much as the arithmetic.
        u = functional.silu(inner, inplace=True).permute(0, 2, 3, 1).flatten(1, 2)  # (b, l, d_inner)
        scanned = self._scan(u, spatial) if self.scans else u
        gate = functional.silu(functional.linear(x.flatten(1, 2), to_gate), inplace=True)
        mixed: Tensor = self.out_proj(self.out_norm(scanned) * gate)
        return torch.unflatten(mixed, 1, spatial)

    def _scan(self, u: Tensor, spatial: Sequence[int]) -> Tensor:
        return cross_scan(
            u,
            # Pixel by pixel, so that one product on the map does for all directions.
            projected=torch.unflatten(functional.linear(u, self.x_proj_weight.flatten(0, 1)), 2, (N_DIRECTIONS, -1)),
            dt_proj=self.dt_projs_weight,
            dt_bias=self.dt_projs_bias,
            A_logs=self.A_logs,
            Ds=self.Ds,
            spatial=spatial,
        )


def require_channels_last(owner: str, x: Tensor, d_model: int) -> None:
    """Refuse an ``x`` that is not (b, h, w, d_model); ``owner`` names the block in the error."""
    if x.ndim != 4 or x.shape[3] != d_model:
        raise ValueError(
            f"{owner}: map of shape {tuple(x.shape)}, expected (b, h, w, d_model) with d_model = {d_model}; move the "
            f"channels of an image (b, c, h, w) last with x.permute(0, 2, 3, 1)"
        )
