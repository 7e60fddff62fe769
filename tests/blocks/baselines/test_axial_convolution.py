import pytest
import torch

from nnunet_mamba.blocks.baselines.axial_convolution import AxialConvolution


@pytest.mark.parametrize(("kernel_size", "dilation"), [(7, 1), (3, 1), (3, 3)])
def test_an_impulse_becomes_itself_and_the_taps_along_both_axes(kernel_size, dilation):
    torch.manual_seed(0)
    layer = AxialConvolution(2, kernel_size=kernel_size, dilation=dilation)
    x = torch.zeros(1, 2, 15, 17)
    x[0, 1, 7, 8] = 1

    with torch.no_grad():
        bias = layer.along_height.bias + layer.along_width.bias
        y = layer(x) - bias[:, None, None]

        expected = x.clone()
        for tap in range(kernel_size):
            by = dilation * (kernel_size // 2 - tap)
            expected[0, 1, 7 + by, 8] += layer.along_height.weight[1, 0, tap, 0]
            expected[0, 1, 7, 8 + by] += layer.along_width.weight[1, 0, 0, tap]
        torch.testing.assert_close(y, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "AxialConvolution: channels=0, expected a positive integer"),
        ({"dilation": 0}, "AxialConvolution: dilation=0, expected a positive integer"),
        ({"kernel_size": 4}, "AxialConvolution: kernel_size=4, expected a positive odd number"),
    ],
    ids=str,
)
def test_refuses_numbers_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        AxialConvolution(**{"channels": 2, "kernel_size": 3, **arguments})
