import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.baselines.shifted_mlp import HEIGHT, WIDTH, ShiftedMLP, shift_channels


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize("axis", [HEIGHT, WIDTH])
# torch.chunk makes fifths of 2, 2, 2, 2, 1 channels; of 2, 2, 2; of one each; and 52, 52, 52, 52, 48.
@pytest.mark.parametrize(("channels", "fifth"), [(9, 2), (6, 2), (3, 1), (256, 52)])
@pytest.mark.parametrize("size", [(6, 7), (1, 2)], ids=str)
def test_fifths_of_the_channels_move_by_minus_two_to_two_positions_and_zeros_come_in(axis, channels, fifth, size):
    x = torch.randn(2, *size, channels)
    expected = torch.zeros_like(x)
    for channel in range(channels):
        by = channel // fifth - 2
        for place in range(size[axis - 1]):
            if 0 <= place - by < size[axis - 1]:
                expected.select(axis, place)[..., channel] = x.select(axis, place - by)[..., channel]

    assert torch.equal(shift_channels(x, axis), expected)


def test_shifts_along_the_height_then_along_the_width_with_a_filter_between():
    mlp, x = ShiftedMLP(10).double(), torch.randn(1, 5, 6, 10, dtype=torch.float64)

    with torch.no_grad():
        first = mlp.first(shift_channels(x, HEIGHT)).permute(0, 3, 1, 2)
        windows = functional.pad(first, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
        filtered = (windows * mlp.depthwise.weight[:, 0, None, None]).sum((-1, -2)) + mlp.depthwise.bias[:, None, None]
        expected = mlp.second(shift_channels(functional.gelu(filtered).permute(0, 2, 3, 1), WIDTH))

        torch.testing.assert_close(mlp(x), expected)


def test_refuses_a_width_that_is_not_positive():
    with pytest.raises(ValueError, match="ShiftedMLP: d_model=0, expected a positive integer"):
        ShiftedMLP(0)
