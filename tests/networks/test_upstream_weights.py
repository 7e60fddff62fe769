import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.networks.upstream_weights import load_upstream_weights, published_name


@pytest.fixture
def network():
    return create_network("ultralight_vm_unet", 3, 1)


@pytest.fixture
def published(network):
    """Random weights for every key, by the published names."""
    return {published_name(network, key): torch.randn_like(value) for key, value in network.state_dict().items()}


def snapshot(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def is_unchanged(network, before):
    return all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_loads_every_key(network, published):
    report = load_upstream_weights(network, published)

    assert set(report.loaded) == set(published)
    assert report.missing == report.unused == report.mismatched == ()
    for key, value in network.state_dict().items():
        assert torch.equal(value, published[published_name(network, key)])


def test_published_names_are_the_papers(network):
    assert published_name(network, "encoder.0.mixer.weight") == "encoder1.0.weight"
    assert published_name(network, "bottleneck.mambas.0.A_log") == "encoder6.0.mamba.A_log"
    assert published_name(network, "bridge.channel.heads.2.bias") == "scab.catt.att3.bias"
    assert published_name(network, "decoder.4.norm.weight") == "dbn5.weight"
    assert published_name(network, "seg_layers.0.bias") == "final.bias"


def test_prefix_of_a_parallel_wrapper_is_taken_off(network, published):
    wrapped = {f"module.{key}": value for key, value in published.items()}

    assert set(load_upstream_weights(network, wrapped).loaded) == set(published)


def test_error_names_every_key_that_does_not_fit_and_changes_nothing(network, published):
    before = snapshot(network)
    del published["ebn1.weight"], published["encoder5.0.mamba.D"]
    published["encoder9.0.weight"] = torch.zeros(1)
    published["final.weight"] = torch.zeros(2, 8, 1, 1)

    with pytest.raises(ValueError, match="do not fit UltraLightVMUNet") as caught:
        load_upstream_weights(network, published)

    text = str(caught.value)
    assert "missing in the weights: ebn1.weight" in text
    assert "missing in the weights: encoder5.0.mamba.D" in text
    assert "unused, not in the network: encoder9.0.weight" in text
    assert "final.weight is (2, 8, 1, 1) in the weights, (1, 8, 1, 1) in the network" in text
    assert "126 keys fit, 4 do not" in text
    assert is_unchanged(network, before)


@pytest.mark.parametrize("damage", ["missing", "unused", "mismatched"])
def test_one_key_of_any_kind_is_enough_to_refuse(network, published, damage):
    if damage == "unused":
        published["extra"] = torch.zeros(1)
    elif damage == "missing":
        del published["final.bias"]
    else:
        published["final.bias"] = torch.zeros(2)

    with pytest.raises(ValueError, match="1 do not"):
        load_upstream_weights(network, published)


def test_partial_loads_what_fits_and_reports_the_rest(network, published):
    before = snapshot(network)
    del published["ebn1.weight"]
    published["extra"] = torch.zeros(1)
    published["final.weight"] = torch.zeros(2, 8, 1, 1)

    report = load_upstream_weights(network, published, partial=True)

    assert report.missing == ("ebn1.weight",)
    assert report.unused == ("extra",)
    assert report.mismatched == ("final.weight",)
    assert len(report.loaded) == len(before) - 2
    after = network.state_dict()
    assert torch.equal(after["bottleneck.proj.weight"], published["encoder6.0.proj.weight"])
    assert torch.equal(after["seg_layers.0.weight"], before["seg_layers.0.weight"])


def test_partial_refuses_weights_of_which_nothing_fits(network):
    with pytest.raises(ValueError, match="0 keys fit"):
        load_upstream_weights(network, {"layer.weight": torch.zeros(3)}, partial=True)


def test_whole_checkpoint_instead_of_its_weights_is_refused(network, published):
    with pytest.raises(TypeError, match=r"'epoch' is a int, expected a tensor; pass the state dict itself"):
        load_upstream_weights(network, {"epoch": 3, "state_dict": published})


def test_empty_weights_are_refused(network):
    with pytest.raises(ValueError, match="0 keys fit, 129 do not"):
        load_upstream_weights(network, {})
