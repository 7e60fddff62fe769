import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.residual_stage import ResidualBlock, residual_stage


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_block_is_two_convolutions_beside_one_of_a_single_tap():
    block, x = ResidualBlock(3, 4, kernel_size=(3, 5), stride=(2, 1)), torch.randn(2, 3, 8, 6)
    for norm in (block.norm1, block.norm2):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)

    def normalised(y, norm):
        mean, variance = y.mean(dim=(2, 3), keepdim=True), y.var(dim=(2, 3), keepdim=True, correction=0)
        return (y - mean) / (variance + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]

    with torch.no_grad():
        y = functional.conv2d(x, block.conv1.weight, block.conv1.bias, stride=(2, 1), padding=(1, 2))
        y = functional.leaky_relu(normalised(y, block.norm1), 0.01)
        y = normalised(functional.conv2d(y, block.conv2.weight, block.conv2.bias, padding=(1, 2)), block.norm2)
        expected = y + torch.einsum("bchw,dc->bdhw", x[:, :, ::2], block.conv3.weight[..., 0, 0])
        expected = functional.leaky_relu(expected + block.conv3.bias[:, None, None], 0.01)

        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_block_leaves_its_input_as_it_was():
    x = torch.randn(1, 4, 6, 6)
    before = x.clone()

    residual_stage(4, 4, kernel_size=(3, 3), stride=(1, 1), n_blocks=2)(x)

    assert torch.equal(x, before)


def test_first_block_of_a_stage_changes_resolution_and_channels():
    stage = residual_stage(3, 6, kernel_size=(1, 3, 3), stride=(1, 2, 2), n_blocks=3)

    assert [block(torch.randn(1, 3, 4, 8, 10)).shape for block in stage[:1]] == [(1, 6, 4, 4, 5)]
    assert stage(torch.randn(1, 3, 4, 8, 10)).shape == (1, 6, 4, 4, 5)
    assert len(stage) == 3


def test_channels_last_map_of_few_channels_trains_on_one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    block = ResidualBlock(4, 6, kernel_size=(3, 3), stride=(2, 2))
    x = torch.randn(2, 4, 16, 20)

    def gradient_of(x):
        block.zero_grad()
        block(x).square().mean().backward()
        return block.conv3.weight.grad

    try:
        expected = gradient_of(x)
        result = gradient_of(x.contiguous(memory_format=torch.channels_last))
    finally:
        torch.set_num_threads(n_threads)

    assert torch.equal(result, expected)
