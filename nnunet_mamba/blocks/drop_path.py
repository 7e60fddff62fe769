"""Stochastic depth: training leaves out a branch of a residual block, case by case."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, multiply each case by 0 with a probability, and otherwise by what keeps the mean.

    Args:
        probability: of 0, in [0, 1).

    Source:
        Huang et al. 2016, "Deep Networks with Stochastic Depth", arXiv:1603.09382.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.drop_prob = probability

    def forward(self, x: Tensor) -> Tensor:
        """Return the kept and strengthened cases of ``x``, (b, ...), and zeros for the others."""
        if not self.training or self.drop_prob == 0:
            return x
        kept = 1 - self.drop_prob
        factors = x.new_empty(x.shape[0], *(1,) * (x.dim() - 1)).bernoulli_(kept) / kept
        return x * factors

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"drop_prob={self.drop_prob}"
