"""The Mamba block (Mamba-1): gated selective state space model over a sequence of tokens."""

import math
from typing import ClassVar, Literal, NoReturn

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_flags, require_whole
from nnunet_mamba.blocks.torch_script import refuse_script
from nnunet_mamba.ops import mamba_mixer
from nnunet_mamba.ops.autocast import without_autocast

DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4


@torch.no_grad()
def reset_state_space(dt_weight: Tensor, dt_bias: Tensor, A_log: Tensor, D: Tensor) -> None:
    """Set a state space's parameters to their published initial values, whatever comes before their last axes.

    Args:
        dt_weight: (..., dt_rank).
        dt_bias: any shape.
        A_log: (..., n).
        D: any shape.
    """
    bound = dt_weight.shape[-1] ** -0.5
    nn.init.uniform_(dt_weight, -bound, bound)
    step = torch.empty_like(dt_bias).uniform_(math.log(DT_MIN), math.log(DT_MAX)).exp().clamp(DT_FLOOR)
    # The inverse of softplus, so that the step size starts at ``step``.
    dt_bias.copy_(step + torch.log(-torch.expm1(-step)))
    A_log.copy_(torch.arange(1, A_log.shape[-1] + 1).log().expand_as(A_log))
    nn.init.ones_(D)


class Mamba(nn.Module):
    """Mix a sequence of tokens, each seeing those before it, in float32 whatever autocast says.

    Half precision overflows in the recurrence, which is this layer's usual source of NaN: it leaves autocast,
    computes in float32 and returns float32. Weights in another precision have their own (float64, or what ``half()``
    makes of a network), except for the recurrence, which has float32 at least.

    Args:
        d_model: width of the tokens.
        d_state: size n of the state of each inner channel.
        d_conv: taps of the causal convolution.
        expand: d_inner = expand * d_model.
        dt_rank: rank of the step size's projection; "auto" is ceil(d_model / 16).
        conv_bias: whether the convolution has a bias.
        bias: whether in_proj and out_proj have a bias.

    Raises:
        ValueError: a size is not a positive integer, or a flag not True or False.

    Source:
        Gu and Dao 2023, arXiv:2312.00752; parameter names and initial values of github.com/state-spaces/mamba.
    """

    scans: ClassVar[bool] = True
    """Whether this block runs the selective scan, as every block says that can."""

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
        require_whole("Mamba", d_model=d_model, d_state=d_state, d_conv=d_conv, expand=expand)
        rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        require_whole("Mamba", dt_rank=rank)
        require_flags("Mamba", conv_bias=conv_bias, bias=bias)
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
        reset_state_space(self.dt_proj.weight, self.dt_proj.bias, self.A_log, self.D)

    def forward(
        self, tokens: Tensor, *, n_parallel: int = 1, reverse: bool = False, flip_channels: bool = False
    ) -> Tensor:
        """Mix ``tokens``, (b, l, n_parallel * d_model), each chunk of d_model channels by itself.

        Args:
            tokens: any dtype.
            n_parallel: number of chunks.
            reverse: read the tokens from the last to the first; each result stays at its token's place.
            flip_channels: read the channels of a chunk from the last to the first, and give the result's back so.

        Returns:
            The shape of ``tokens``, in the precision of the weights.
        """
        require_whole("Mamba", n_parallel=n_parallel)
        if tokens.ndim != 3 or tokens.shape[2] != n_parallel * self.d_model:
            raise ValueError(
                f"Mamba: tokens of shape {tuple(tokens.shape)}, expected (b, l, {n_parallel * self.d_model}): "
                f"n_parallel = {n_parallel} chunks of d_model = {self.d_model} channels; flatten the image and move "
                f"the channels last"
            )
        in_proj: Tensor = self.in_proj.weight
        out_proj: Tensor = self.out_proj.weight
        out_bias: Tensor | None = self.out_proj.bias
        if flip_channels:
            # Flips the tokens' side of both layers, which is smaller than the tokens.
            in_proj, out_proj = in_proj.flip(1), out_proj.flip(0)
            out_bias = None if out_bias is None else out_bias.flip(0)
        with without_autocast(tokens.device.type):
            return mamba_mixer(
                tokens.to(torch.promote_types(tokens.dtype, in_proj.dtype)),
                in_proj=in_proj,
                conv=self.conv1d.weight,
                x_proj=self.x_proj.weight,
                dt_proj=self.dt_proj.weight,
                dt_bias=self.dt_proj.bias,
                A_log=self.A_log,
                D=self.D,
                out_proj=out_proj,
                conv_bias=self.conv1d.bias,
                in_bias=self.in_proj.bias,
                out_bias=out_bias,
                n_parallel=n_parallel,
                reverse=reverse,
            )

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse ``torch.jit.script``, which asks every module for this first."""
        refuse_script(type(self).__name__)
