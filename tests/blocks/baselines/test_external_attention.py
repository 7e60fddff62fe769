import pytest
import torch

from nnunet_mamba.blocks.baselines.external_attention import ExternalAttention


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_positions_share_a_memory_whose_rows_lie_between_its_values():
    layer = ExternalAttention(8).eval()
    read = []
    layer.memory_values.register_forward_hook(lambda module, inputs, output: read.append(inputs[0]))

    with torch.no_grad():
        layer(torch.randn(2, 8, 5, 7))

    assert read[0].shape == (2, 32, 35)
    torch.testing.assert_close(read[0].sum(dim=1), torch.ones(2, 35))
    assert (read[0] > 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_shares_of_many_positions(dtype):
    """Of 90 000 positions each has a share that float16 rounds to nearly nothing."""
    layer, x = ExternalAttention(4), torch.randn(1, 4, 300, 300)

    with torch.no_grad():
        expected = layer(x)
        with torch.autocast("cpu", dtype=dtype):
            result = layer(x)

    error = (result - expected).square().mean().sqrt() / expected.std()
    assert float(error) < 16 * torch.finfo(dtype).eps


@pytest.mark.parametrize(("channels", "nearest"), [(6, 8), (1, 4), (13, 12)])
def test_refuses_channels_that_its_norm_cannot_group(channels, nearest):
    with pytest.raises(ValueError, match=f"channels={channels}, expected a multiple of 4 .*; nearest is {nearest}"):
        ExternalAttention(channels)
