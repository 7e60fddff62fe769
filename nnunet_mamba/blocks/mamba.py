"""The Mamba block (Mamba-1): gated selective state space model over a sequence of tokens.

With x, z = in_proj(tokens) and x = SiLU(causal depthwise convolution of x):
tokens' = out_proj(scan(x, dt, A, B, C, D) · SiLU(z)), where dt, B and C are linear functions of x.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.autocast import without_autocast
from nnunet_mamba.ops import selective_scan

DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4


class Mamba(nn.Module):
    """Mix a sequence of tokens, each seeing those before it, in float32 whatever autocast says.

    Half precision overflows in the recurrence, which is this layer's usual source of NaN: it leaves autocast,
    computes in float32 and returns float32 (float64 stays float64).

    Args:
        d_model: width of the tokens.
        d_state: size n of the state of each inner channel.
        d_conv: taps of the causal convolution.
        expand: d_inner = expand * d_model.
        dt_rank: rank of the step size's projection; "auto" is ceil(d_model / 16).
        conv_bias: whether the convolution has a bias.
        bias: whether in_proj and out_proj have a bias.

    Raises:
        ValueError: a size is not a positive integer.

    Source:
        Gu and Dao 2023, arXiv:2312.00752; parameter names and initial values of github.com/state-spaces/mamba.
    """

    def __init__(
        self,
        d_model: int,
        *,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | Literal["auto"] = "auto",
        conv_bias: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        sizes = {"d_model": d_model, "d_state": d_state, "d_conv": d_conv, "expand": expand, "dt_rank": rank}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"Mamba: {name}={size}, expected a positive integer; pass {name} >= 1")
        d_inner = expand * d_model
        self.d_model, self.d_state, self.dt_rank = d_model, d_state, rank
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=bias)
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner, padding=d_conv - 1, bias=conv_bias)
        self.x_proj = nn.Linear(d_inner, rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(rank, d_inner)
        self.A_log = nn.Parameter(torch.empty(d_inner, d_state))
        self.D = nn.Parameter(torch.empty(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=bias)
        # Decay would pull the time constants and the skip towards arbitrary values.
        for parameter in (self.A_log, self.D):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        self._reset_state_space()

    @torch.no_grad()
    def _reset_state_space(self) -> None:
        nn.init.uniform_(self.dt_proj.weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
        step = torch.empty_like(self.dt_proj.bias).uniform_(math.log(DT_MIN), math.log(DT_MAX)).exp().clamp(DT_FLOOR)
        # The inverse of softplus, so that the step size starts at ``step``.
        self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))
        self.A_log.copy_(torch.arange(1, self.d_state + 1).log().expand_as(self.A_log))
        nn.init.ones_(self.D)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix ``tokens``, (b, l, d_model), into the same shape, float32 or float64."""
        if tokens.ndim != 3 or tokens.shape[2] != self.d_model:
            raise ValueError(
                f"Mamba: tokens of shape {tuple(tokens.shape)}, expected (b, l, d_model) with d_model = "
                f"{self.d_model}; flatten the image and move the channels last"
            )
        with without_autocast(tokens.device.type):
            return self._mix(tokens.to(torch.promote_types(tokens.dtype, torch.float32)))

    def _mix(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        x, z = _project(tokens.mT, self.in_proj.weight, self.in_proj.bias).chunk(2, dim=1)  # (b, d_inner, l)
        x = functional.silu(self.conv1d(x)[..., :length])
        dt, B, C = _project(x, self.x_proj.weight).split_with_sizes([self.dt_rank, self.d_state, self.d_state], dim=1)
        y = selective_scan(
            x,
            _project(dt, self.dt_proj.weight),
            -torch.exp(self.A_log),
            B,
            C,
            self.D,
            z=z,
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
        )
        mixed: Tensor = self.out_proj(y.mT)
        return mixed


def _project(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a linear layer to the channels of ``x``, (b, d, l): (b, d', l), contiguous."""
    # A batched product writes the scan's layout at once; nn.Linear on tokens would need two transposed copies.
    weights = weight.expand(x.shape[0], -1, -1)
    return torch.bmm(weights, x) if bias is None else torch.baddbmm(bias[:, None], weights, x)
