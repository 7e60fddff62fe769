import re

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
    assert published_name(network, "skips.channel.heads.2.bias") == "scab.catt.att3.bias"
    assert published_name(network, "decoder.stages.4.norm.weight") == "dbn5.weight"
    assert published_name(network, "decoder.seg_layers.0.bias") == "final.bias"


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
    assert torch.equal(after["decoder.seg_layers.0.weight"], before["decoder.seg_layers.0.weight"])


def test_partial_refuses_weights_of_which_nothing_fits(network):
    with pytest.raises(ValueError, match="0 keys fit"):
        load_upstream_weights(network, {"layer.weight": torch.zeros(3)}, partial=True)


def test_whole_checkpoint_instead_of_its_weights_is_refused(network, published):
    with pytest.raises(TypeError, match=r"'epoch' is a int, expected a tensor; pass the state dict itself"):
        load_upstream_weights(network, {"epoch": 3, "state_dict": published})


def test_empty_weights_are_refused(network):
    with pytest.raises(ValueError, match="0 keys fit, 129 do not"):
        load_upstream_weights(network, {})


VM_UNET = {"dims": (8, 16, 32, 64), "depths": (1, 1, 2, 1), "depths_decoder": (1, 1, 1, 1)}


@pytest.mark.parametrize("prefix", ["", "vmunet.", "module.vmunet.", "module.", "_orig_mod.module.vmunet."])
def test_wrappers_of_vm_unet_are_taken_off(prefix):
    network = create_network("vm_unet", 3, 1, **VM_UNET)
    published = {
        prefix + published_name(network, key): torch.randn_like(value) for key, value in network.state_dict().items()
    }

    report = load_upstream_weights(network, published)

    assert (report.source, report.missing, report.unused, report.mismatched) == ("published code", (), (), ())
    assert len(report.loaded) == len(published)
    assert torch.equal(network.decoder.seg_layers[0].weight, published[f"{prefix}final_conv.weight"])


def test_missing_keys_have_the_wrapper_of_the_weights():
    network = create_network("vm_unet", 3, 1, **VM_UNET)
    published = {f"vmunet.{published_name(network, key)}": value for key, value in network.state_dict().items()}
    del published["vmunet.final_conv.bias"]

    with pytest.raises(ValueError, match=r"missing in the weights: vmunet\.final_conv\.bias"):
        load_upstream_weights(network, published)


@pytest.fixture
def classifier():
    """Weights of a VMamba classification network whose third stage is deeper than ours."""
    network = create_network("vm_unet", 3, 1, **{**VM_UNET, "depths": (2, 1, 3, 1)})
    names = {published_name(network, key): value for key, value in network.state_dict().items()}
    encoder = {name: torch.randn_like(value) for name, value in names.items() if "layers_up" not in name}
    backbone = {name: value for name, value in encoder.items() if not name.startswith("final")}
    return {**backbone, "norm.weight": torch.ones(64), "norm.bias": torch.ones(64), "head.weight": torch.ones(9, 64)}


def test_classifier_begins_encoder_and_decoder(classifier):
    network = create_network("vm_unet", 3, 1, **VM_UNET)

    report = load_upstream_weights(network, classifier, partial=True)

    assert report.source == "backbone"
    not_in_classifier = {
        key for key in network.state_dict() if "upsample" in key or "final_up" in key or "seg_layers" in key
    }
    assert set(report.missing) == {published_name(network, key) for key in not_in_classifier}
    assert len(report.loaded) == len(network.state_dict()) - len(not_in_classifier)
    assert {key.split(".")[0] for key in report.unused} == {"layers", "norm", "head"}
    assert {key.split(".blocks.")[0] for key in report.unused if "blocks" in key} == {"layers.0", "layers.2"}
    for level in range(4):
        block = network.decoder.layers_up[3 - level].blocks[0]
        assert torch.equal(block.ss2d.A_logs, classifier[f"layers.{level}.blocks.0.self_attention.A_logs"])
        assert torch.equal(block.ss2d.A_logs, network.layers[level].blocks[0].ss2d.A_logs)


def test_classifier_is_not_loaded_in_part_without_being_asked(classifier):
    network = create_network("vm_unet", 3, 1, **VM_UNET)
    before = snapshot(network)

    with pytest.raises(ValueError, match=r"missing in the weights: final_conv\.weight"):
        load_upstream_weights(network, classifier)

    assert is_unchanged(network, before)


@pytest.fixture
def layer_with_two_names():
    """A block of dynamic-network-architectures, which registers its layers twice."""
    return create_network("u_mamba_bot", 1, 2, features_per_stage=(4, 8), strides=(1, 2)).eval()


def test_one_of_several_names_of_a_layer_is_enough(layer_with_two_names):
    state = {key: torch.randn_like(value) for key, value in layer_with_two_names.state_dict().items()}
    first = {key: value for key, value in state.items() if "all_modules" not in key}
    assert len(first) < len(state)

    report = load_upstream_weights(layer_with_two_names, first)

    assert set(report.loaded) == set(first)
    loaded = layer_with_two_names.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in first.items())


def test_encoder_inside_the_published_decoder_is_the_encoder(layer_with_two_names):
    state = layer_with_two_names.state_dict()
    inside = {f"decoder.{key}": value for key, value in state.items() if key.startswith("encoder.")}

    report = load_upstream_weights(layer_with_two_names, {**state, **inside})

    assert set(report.loaded) == {*state, *inside}


def test_two_names_of_one_layer_must_agree(layer_with_two_names):
    state = {key: value.clone() for key, value in layer_with_two_names.state_dict().items()}
    twice = next(key for key in state if "all_modules.0" in key)
    state[twice] += 1

    with pytest.raises(ValueError, match=rf"'{re.escape(twice)}' are two names of one layer with different values"):
        load_upstream_weights(layer_with_two_names, state)


def test_weights_that_are_not_numbers_do_not_contradict_themselves(network, published):
    published["final.bias"] = torch.full_like(published["final.bias"], torch.nan)

    load_upstream_weights(network, published)

    assert network.decoder.seg_layers[0].bias.isnan().all()
