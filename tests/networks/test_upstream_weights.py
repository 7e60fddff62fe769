import re

import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.networks.upstream_weights import (
    WeightsMismatchError,
    load_upstream_weights,
    published_name,
)


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

    with pytest.raises(ValueError, match=r"those of a classification network, .*pass partial=True") as caught:
        load_upstream_weights(network, classifier)

    assert "final_conv.weight" in caught.value.missing

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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_told_and_not_taken(network, published, value):
    before = snapshot(network)
    published["final.bias"] = torch.full_like(published["final.bias"], value)

    for partial in (False, True):
        with pytest.raises(ValueError, match=r"1 of them have numbers that are not finite .* 'final\.bias'; nothing"):
            load_upstream_weights(network, published, partial=partial)
    assert is_unchanged(network, before)


def test_numbers_too_large_for_the_network_are_not_finite_in_it(network, published):
    published["final.bias"] = torch.full((1,), 1e300, dtype=torch.float64)

    with pytest.raises(ValueError, match="not finite"):
        load_upstream_weights(network, published)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: x.int(), r"'final\.bias' is torch\.int32, expected floating-point numbers as the network's"),
        (lambda x: x.bool(), "is torch.bool"),
        (lambda x: x.to(torch.complex64), "is torch.complex64"),
        (lambda x: x.to(torch.float8_e4m3fn), "is torch.float8_e4m3fn"),
        (lambda x: x.to_sparse(), "of the layout torch.sparse_coo, expected a dense tensor"),
        (lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "is quantised"),
        (lambda x: x.to("meta"), "is on the device meta and has no numbers"),
        (lambda x: torch.zeros(1)[:0].new_empty(()).expand(7), r"has shape \(7,\), more numbers than it holds"),
        (lambda x: x.tolist(), "is a list, expected a tensor"),
        (lambda x: None, "is a NoneType, expected a tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_values_of_another_kind_are_told_and_not_taken(network, published, change, text):
    before = snapshot(network)
    published["final.bias"] = change(published["final.bias"])

    with pytest.raises(TypeError, match=text):
        load_upstream_weights(network, published)
    assert is_unchanged(network, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_taken(network, published, dtype):
    load_upstream_weights(network, {key: value.to(dtype) for key, value in published.items()})

    assert network.decoder.seg_layers[0].bias.dtype == torch.float32


@pytest.mark.parametrize(
    ("weights", "text"), [(None, "found None"), (["a"], "found a list"), ({3: torch.zeros(1)}, "key 3 is a int")]
)
def test_what_is_no_state_dict_is_told(network, weights, text):
    with pytest.raises(TypeError, match=text):
        load_upstream_weights(network, weights)


def vmamba_of_another_generation():
    names = [
        f"layers.{i}.blocks.{j}.{part}" for i in range(4) for j in range(9) for part in ("op.A_logs", "mlp.fc1.bias")
    ]
    return {name: torch.zeros(2) for name in (*names, "classifier.head.weight", "patch_embed.0.weight")}


def test_vmamba_of_another_generation_is_recognised_in_a_few_lines():
    network = create_network("vm_unet", 3, 1, **VM_UNET)

    with pytest.raises(ValueError, match="VMamba's second generation") as caught:
        load_upstream_weights(network, vmamba_of_another_generation())

    assert len(str(caught.value).splitlines()) <= 10
    assert set(caught.value.unused) == set(vmamba_of_another_generation())
    assert set(caught.value.missing) == {published_name(network, key) for key in network.state_dict()}
    assert all(f"and {n - 3} more" in str(caught.value) for n in map(len, (caught.value.missing, caught.value.unused)))


def test_weights_of_another_network_are_recognised(network):
    other = create_network("ultralbm_unet", 3, 1)
    weights = {published_name(other, key): value for key, value in other.state_dict().items()}

    with pytest.raises(
        ValueError, match=r"The names are those of one of our networks; create 'ultralbm_unet' .*for them, with"
    ):
        load_upstream_weights(network, weights)


def test_an_error_has_every_key_as_attributes(network, published):
    published["final.weight"] = torch.zeros(2, 8, 1, 1)

    with pytest.raises(WeightsMismatchError) as caught:
        load_upstream_weights(network, published)

    assert caught.value.mismatched == ("final.weight",)
    assert caught.value.shapes == {"final.weight": ((2, 8, 1, 1), (1, 8, 1, 1))}
