import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.max_pool import max_pool


@pytest.mark.parametrize("window", [(2, 2), (1, 2), (2, 1), (1, 1), (3, 2), (2, 2, 2), (1, 2, 2), (2, 1, 3)])
@pytest.mark.parametrize("memory", ["contiguous", "channels last", "strided"])
def test_equals_torchs_pooling_with_and_without_gradient(window, memory):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *(6 for _ in window))
    if memory == "channels last":
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    elif memory == "strided":
        x = x.transpose(2, 3)
    pool = functional.max_pool2d if len(window) == 2 else functional.max_pool3d
    expected = pool(x, window)

    assert torch.equal(max_pool(x, window), expected)
    leaf = x.clone().requires_grad_()
    assert torch.equal(max_pool(leaf, window), expected)
    with torch.no_grad():
        assert torch.equal(max_pool(leaf, window), expected)


def test_gradient_goes_to_one_of_equal_numbers():
    x = torch.ones(1, 1, 4, 4, requires_grad=True)

    max_pool(x, (2, 2)).sum().backward()

    assert sorted(x.grad.unique().tolist()) == [0, 1]
    assert x.grad.sum() == 4


def test_nan_is_the_maximum_of_its_window():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = torch.nan

    assert max_pool(x, (2, 2)).isnan().tolist() == [[[[False, True], [False, False]]]]
