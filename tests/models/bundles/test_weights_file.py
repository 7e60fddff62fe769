from hashlib import sha256

import pytest
import torch
from torch import nn
from trained_models import assert_same_weights

from nnunet_mamba.models.bundles.weights_file import pack_weights, unpack_weights


def unpacked(content, folds):
    return unpack_weights(content, place="weights", expected_sha256=sha256(content).hexdigest(), folds=folds)


def shared_layers(*, seed=0):
    """Weights of a network with a layer of many names."""
    torch.manual_seed(seed)
    layer = nn.Linear(2, 3)
    return nn.Sequential(*[layer] * 20, nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()


def test_weights_of_all_folds_come_back_in_every_kind_of_number():
    folds = {
        "0": {"a.weight": torch.rand(2, 3), "n": torch.tensor(7)},
        "1": {str(dtype): torch.ones(2).to(dtype) for dtype in (torch.int32, torch.int16, torch.int8, torch.uint8)},
        "all": {"a.weight": torch.rand(2, 3).half(), "empty": torch.empty(0, 3), "b": torch.rand(4, 6).T},
    }
    read = unpacked(pack_weights(folds), list(folds))
    assert read.keys() == folds.keys()
    for name, weights in folds.items():
        assert_same_weights(read[name], weights)


def test_layers_with_several_names_are_stored_once_and_share_their_memory_again():
    weights = shared_layers()
    read = unpacked(pack_weights({"0": weights, "1": weights}), ["0", "1"])
    assert_same_weights(read["0"], weights)
    assert len({value.data_ptr() for name, value in read["0"].items() if name.endswith(".weight")}) == 3
    assert read["0"]["0.weight"].data_ptr() != read["1"]["0.weight"].data_ptr()


def test_equal_weights_give_equal_bytes():
    assert len({pack_weights({"0": shared_layers()}) for _ in range(5)}) == 1


def test_views_of_one_memory_are_no_copies_of_each_other():
    whole = torch.arange(6.0)
    weights = {"a": whole[:3], "b": whole[3:], "c": whole.reshape(2, 3), "d": whole.reshape(3, 2)}
    assert_same_weights(unpacked(pack_weights({"0": weights}), ["0"])["0"], weights)


def test_complex_numbers_are_not_packed():
    with pytest.raises(ValueError, match=r"^0/a holds torch\.complex64, which no network here has"):
        pack_weights({"0": {"a": torch.ones(2, dtype=torch.complex64)}})


def test_another_hash_is_told():
    content = pack_weights({"0": {"a": torch.ones(1)}})
    with pytest.raises(
        ValueError, match=r"^weights has the SHA-256 \w{12}…, and model\.json says 000000000000…: it is"
    ):
        unpack_weights(content, place="weights", expected_sha256="0" * 64, folds=["0"])
