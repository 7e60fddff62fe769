"""The mixer of Vision Mamba: two Mamba directions between one pair of projections.

With x, z = in_proj(tokens), for each direction with weights of its own, and read from its end:
y = scan(SiLU(causal depthwise convolution of x), dt, A, B, C, D) · SiLU(z); tokens' = out_proj((y_forward + y_backward)
/ 2), where dt, B and C are linear functions of what the scan reads.
"""

import math
from typing import ClassVar, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_flags, require_whole
from nnunet_mamba.blocks.mamba import reset_state_space
from nnunet_mamba.blocks.torch_script import refuse_script
from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.autocast import without_autocast

N_DIRECTIONS = 2


class VimMixer(nn.Module):
    """Mix a sequence of tokens from both ends, in the weights' float32 whatever autocast says, as the Mamba block does.

    Both directions are one scan of twice as many channels, in two groups.

    Args:
        d_model: width of the tokens.
        d_state: size n of the state of each inner channel.
        d_conv: taps of the causal convolutions.
        expand: d_inner = expand * d_model.
        halve: whether the result is half of the directions' sum, or the sum.

    Raises:
        ValueError: a size is not a positive integer, or a flag not True or False.

    Source:
        Zhu et al. 2024, "Vision Mamba", arXiv:2401.09417, "bimamba v2"; parameter names and initial values of
        github.com/hustvl/Vim, whose backward step size has a bias of 0 and torch's own weight.
    """

    scans: ClassVar[bool] = True

    def __init__(
        self, d_model: int, *, d_state: int = 16, d_conv: int = 4, expand: int = 2, halve: bool = True
    ) -> None:
        super().__init__()
        require_whole("VimMixer", d_model=d_model, d_state=d_state, d_conv=d_conv, expand=expand)
        require_flags("VimMixer", halve=halve)
        d_inner, rank = expand * d_model, math.ceil(d_model / 16)
        self.d_model, self.d_state, self.dt_rank, self.halve = d_model, d_state, rank, halve
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner, padding=d_conv - 1)
        self.x_proj = nn.Linear(d_inner, rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(rank, d_inner)
        self.A_log = nn.Parameter(torch.empty(d_inner, d_state))
        self.D = nn.Parameter(torch.empty(d_inner))
        # Those of the backward direction, by their published names.
        self.conv1d_b = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner, padding=d_conv - 1)
        self.x_proj_b = nn.Linear(d_inner, rank + 2 * d_state, bias=False)
        self.dt_proj_b = nn.Linear(rank, d_inner)
        self.A_b_log = nn.Parameter(torch.empty(d_inner, d_state))
        self.D_b = nn.Parameter(torch.empty(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        # Decay would pull the time constants and the skips towards arbitrary values.
        for parameter in (self.A_log, self.D, self.A_b_log, self.D_b):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        reset_state_space(self.dt_proj.weight, self.dt_proj.bias, self.A_log, self.D)
        with torch.no_grad():
            self.A_b_log.copy_(self.A_log)
            nn.init.ones_(self.D_b)
            nn.init.zeros_(self.dt_proj_b.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix ``tokens``, (b, l, d_model), into the same shape, in the precision of the weights."""
        if tokens.ndim != 3 or tokens.shape[2] != self.d_model:
            raise ValueError(
                f"VimMixer: tokens of shape {tuple(tokens.shape)}, expected (b, l, {self.d_model}); flatten the image "
                f"and move the channels last"
            )
        with without_autocast(tokens.device.type):
            return self._mix(tokens.to(torch.promote_types(tokens.dtype, self.in_proj.weight.dtype)))

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse ``torch.jit.script``, which asks every module for this first."""
        refuse_script(type(self).__name__)

    def _mix(self, tokens: Tensor) -> Tensor:
        n_tokens = tokens.shape[1]
        x, z = functional.linear(tokens, self.in_proj.weight).mT.chunk(2, dim=1)  # (b, d_inner, l)
        conv = torch.cat((self.conv1d.weight, self.conv1d_b.weight))
        conv_bias = torch.cat([layer.bias for layer in (self.conv1d, self.conv1d_b) if layer.bias is not None])
        u = functional.conv1d(_from_both_ends(x), conv, conv_bias, padding=conv.shape[2] - 1, groups=conv.shape[0])
        u = functional.silu(u[..., :n_tokens])  # (b, 2 * d_inner, l)
        by_direction = torch.unflatten(u, 1, (N_DIRECTIONS, -1))
        projected = torch.stack((self.x_proj.weight, self.x_proj_b.weight)) @ by_direction
        dt, B, C = projected.split_with_sizes([self.dt_rank, self.d_state, self.d_state], dim=2)
        y = selective_scan(
            u,
            (torch.stack((self.dt_proj.weight, self.dt_proj_b.weight)) @ dt).flatten(1, 2),
            -torch.exp(torch.cat((self.A_log, self.A_b_log))),
            B,
            C,
            torch.cat((self.D, self.D_b)),
            z=_from_both_ends(z),
            delta_bias=torch.cat((self.dt_proj.bias, self.dt_proj_b.bias)),
            delta_softplus=True,
        )
        forward, backward = y.chunk(N_DIRECTIONS, dim=1)
        mixed = forward + backward.flip(2)
        return functional.linear((mixed / N_DIRECTIONS if self.halve else mixed).mT, self.out_proj.weight)


def _from_both_ends(x: Tensor) -> Tensor:
    """Return the channels of ``x``, (b, d, l), from the first token to the last, then from the last to the first."""
    return torch.cat((x, x.flip(2)), dim=1)
