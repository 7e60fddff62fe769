import pytest
import torch

from nnunet_mamba.blocks.baselines.group_aggregation_bridge import GroupAggregationBridge


def test_groups_join_their_channels_of_both_skips_and_the_mask():
    torch.manual_seed(0)
    bridge = GroupAggregationBridge(6, 8)
    below, skip, mask = torch.randn(2, 6, 5, 7), torch.randn(2, 8, 10, 14), torch.randn(2, 1, 10, 14)
    joined = []
    for group in bridge.groups:
        group.register_forward_hook(lambda module, inputs, output: joined.append(inputs[0]))

    assert bridge(below, skip, mask).shape == skip.shape

    assert torch.equal(torch.cat([group[:, 2:4] for group in joined], dim=1), skip)
    assert all(torch.equal(group[:, 4:], mask) for group in joined)
    enlarged = torch.cat([group[:, :2] for group in joined], dim=1)
    # Aligned corners stay what they were.
    torch.testing.assert_close(enlarged[:, :, ::9, ::13], bridge.project(below)[:, :, ::4, ::6])


def test_refuses_channels_that_cannot_be_split():
    with pytest.raises(ValueError, match="6 channels cannot be split into 4 equal groups; choose a multiple of 4"):
        GroupAggregationBridge(8, 6)
