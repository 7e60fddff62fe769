"""The selective scan in torch's own operators, for any number of tokens and without a loop over them.

h_t = decay_t h_{t-1} + update_t is a prefix sum of an associative operation: a stretch of tokens is one decay and one
update, (a, h) followed by (a', h') is (a a', a' h + h'). Within chunks, prefixes grow to double their length in each
step; what the chunks hand on to each other is the same recurrence of fewer tokens. There are a few large operations
instead of one small one for each token, and nothing is divided, so that states which forget at once stay finite.

Source:
    Blelloch 1990, Prefix sums and their applications, CMU-CS-90-190; Hillis and Steele 1986 for the steps in a chunk.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.scan.reference import SOFTPLUS_THRESHOLD

# Tokens of a chunk: 2 to the power of the steps. Each step reads and writes everything once, and so does each level.
_STEPS = 5
CHUNK = 1 << _STEPS
# Chunks of chunks, where the number of tokens is open: 32 to the power of 5 tokens, those of an image of 5792².
_LEVELS = 4
MOST_TOKENS = CHUNK ** (_LEVELS + 1)


def plain_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> Tensor:
    """Return what ``nnunet_mamba::selective_scan`` returns, (b, d, l), for float32 operands.

    Its operands are those of ``selective_scan``, with B and C as (b, g, n, l) and at most ``MOST_TOKENS`` tokens.
    """
    groups = B.shape[1]
    step = delta if delta_bias is None else delta + delta_bias[:, None]
    if delta_softplus:
        step = functional.softplus(step, threshold=SOFTPLUS_THRESHOLD)
    split = (groups, u.shape[1] // groups)
    update = torch.unflatten(step * u, 1, split)[:, :, :, None] * B[:, :, None]  # (b, g, k, n, l)
    decay = torch.exp(torch.unflatten(step, 1, split)[:, :, :, None] * torch.unflatten(A, 0, split)[..., None])
    h = _states(decay, update, _LEVELS)
    y = (h * C[:, :, None]).sum(dim=3).flatten(1, 2)
    if D is not None:
        y = y + D[:, None] * u
    return y if z is None else y * functional.silu(z)


def _states(decay: Tensor, update: Tensor, levels: int) -> Tensor:
    """Return the state after each token, (..., l).

    Args:
        decay: (..., l).
        update: (..., l).
        levels: of chunks of chunks that may be needed.
    """
    length = decay.shape[-1]
    n_chunks = (length + CHUNK - 1) // CHUNK
    # The last chunk is filled with copies of the last token: no token looks at what follows. By an index, because torch
    # would ask of a padding whether it is none.
    filled = torch.arange(n_chunks * CHUNK).clamp(max=length - 1)
    decay, h = (torch.unflatten(x.index_select(-1, filled), -1, (n_chunks, CHUNK)) for x in (decay, update))
    for step in range(_STEPS):
        behind = 1 << step
        h = h + decay * functional.pad(h[..., :-behind], (behind, 0))
        decay = decay * functional.pad(decay[..., :-behind], (behind, 0), value=1.0)
    if levels and not _is_one(n_chunks):
        after_chunks = _states(decay[..., -1], h[..., -1], levels - 1)
        h = h + decay * functional.pad(after_chunks[..., :-1], (1, 0))[..., None]
    return torch.index_select(h.flatten(-2), -1, torch.arange(length))


def _is_one(n: int | torch.SymInt) -> bool:
    """Return whether a number is known to be 1; an open one is not asked, which would close it."""
    return isinstance(n, int) and n == 1
