import torch
from torch import nn
from trained_models import assert_same_weights

from nnunet_mamba.models.shared_memory import copied_weights


def test_copies_share_memory_as_the_originals_do():
    layer = nn.Linear(2, 3)
    weights = nn.Sequential(layer, layer, nn.Linear(3, 2)).state_dict()
    copies = copied_weights(weights)
    assert_same_weights(copies, weights)
    assert copies["0.weight"] is copies["1.weight"]
    assert copies["0.weight"].data_ptr() not in {value.data_ptr() for value in weights.values()}
    assert len({value.data_ptr() for value in copies.values()}) == 4


def test_views_of_one_memory_are_no_copies_of_each_other():
    whole = torch.arange(6.0)
    weights = {"a": whole[:3], "b": whole[3:], "c": whole.reshape(2, 3), "d": whole.reshape(3, 2), "e": whole[:0]}
    assert_same_weights(copied_weights(weights), weights)
