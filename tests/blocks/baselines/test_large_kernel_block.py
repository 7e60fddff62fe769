import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.baselines.large_kernel_block import LargeKernelBlock


def test_adds_the_map_to_the_filtered_one_and_normalises_after_each_gelu():
    torch.manual_seed(0)
    block, x = LargeKernelBlock(3, kernel_size=5).double().eval(), torch.randn(2, 3, 6, 7, dtype=torch.float64)
    for norm in (block.norm, block.widen_norm, block.narrow_norm):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)

    def normalised(norm, x):
        mean, variance = (statistic[:, None, None] for statistic in (norm.running_mean, norm.running_var))
        return (functional.gelu(x) - mean) / (variance + 1e-5).sqrt()

    with torch.no_grad():
        windows = functional.pad(x, (2, 2, 2, 2)).unfold(2, 5, 1).unfold(3, 5, 1)
        filtered = (windows * block.depthwise.weight[:, 0, None, None]).sum((-1, -2))
        y = x + normalised(block.norm, filtered + block.depthwise.bias[:, None, None])
        for layer, norm in ((block.widen, block.widen_norm), (block.narrow, block.narrow_norm)):
            mixed = torch.einsum("ec,bchw->behw", layer.weight[..., 0, 0], y) + layer.bias[:, None, None]
            y = normalised(norm, mixed)

        torch.testing.assert_close(block(x), y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "LargeKernelBlock: channels=0, expected a positive integer"),
        ({"kernel_size": 4}, "LargeKernelBlock: kernel_size=4, expected a positive odd number"),
    ],
    ids=str,
)
def test_refuses_numbers_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        LargeKernelBlock(**{"channels": 2, "kernel_size": 3, **arguments})
