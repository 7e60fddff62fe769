import pytest

from nnunet_mamba.networks.planned_pooling import pooling_of_plan


@pytest.mark.parametrize(
    ("patch_size", "more"),
    [((16, 64, 64), ((2, 2, 2), (1, 2, 2), (1, 1, 1))), ((8, 16, 16), ((1, 1, 1),) * 3)],
)
def test_deeper_network_goes_on_where_the_axes_are_long_enough(patch_size, more):
    strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]

    assert pooling_of_plan(strides, patch_size, n_poolings=5) == ((1, 2, 2), (2, 2, 2), *more)
