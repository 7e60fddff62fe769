from dataclasses import replace

import pytest

from nnunet_mamba import create_network, list_networks, presets


def test_lists_names_sorted():
    names = list_networks()

    assert "ultralight_vm_unet" in names
    assert names == sorted(names)


def test_overrides_replace_the_published_arguments():
    network = create_network("ultralight_vm_unet", input_channels=1, num_classes=4, bridge=False, n_parallel=2)

    assert network.skips is None
    assert network.bottleneck.n_parallel == 2
    assert network.encoder[0].mixer.weight.shape == (8, 1, 3, 3)
    assert network.decoder.seg_layers[0].weight.shape == (4, 8, 1, 1)


def test_unknown_network_is_answered_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"unknown network 'ultra_light_vmunet'; did you mean 'ultralight_vm_unet'"):
        create_network("ultra_light_vmunet", 3, 1)


def test_unknown_override_is_answered_with_the_nearest_and_the_valid_ones():
    with pytest.raises(
        TypeError,
        match=r"ultralight_vm_unet takes no override 'n_paralel'; did you mean 'n_parallel'\? Choose one of: channels,",
    ):
        create_network("ultralight_vm_unet", 3, 1, n_paralel=2)


def test_unlike_any_name_still_lists_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown network 'zzz'; Choose one of: .*ultralight_vm_unet"):
        create_network("zzz", 3, 1)


def test_value_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="num_classes=0, expected at least 1"):
        create_network("ultralight_vm_unet", 3, 0)


def test_spatial_dims_begin_with_the_size_for_volumes():
    network = create_network("ultralight_vm_unet", 1, 2, spatial_dims=3)

    assert network.decoder.seg_layers[0].weight.shape == (2, 8, 1, 1, 1)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        (
            "u_mamba_bot",
            {"features_per_stage": (8, 16), "kernel_sizes": ((3, 3, 3), (3, 3, 3)), "strides": (1, 2)},
        ),
        (
            "u_mamba_bot",
            {"features_per_stage": (8, 16), "kernel_sizes": (3, 3), "strides": ((1, 1, 1), (1, 2, 2))},
        ),
        ("u_mamba_enc", {"features_per_stage": (8, 16), "kernel_sizes": 3, "strides": (1, 2), "input_size": (4, 8, 8)}),
        ("ul_vm_unet_v1", {"strides": ((1, 2, 2),) * 4}),
    ],
)
def test_arguments_with_an_entry_per_axis_tell_the_number_of_axes(name, overrides):
    assert create_network(name, 1, 2, **overrides).spatial_dims == 3


def test_odd_kernels_per_stage_are_no_axes():
    assert create_network("ultralbm_unet", 1, 2, kernel_sizes=(3, 3, 3)).spatial_dims == 2


@pytest.mark.parametrize(("name", "dims"), [("vm_unet", 3), ("ultralight_vm_unet", 1)])
def test_number_of_axes_that_a_network_does_not_have_is_refused(name, dims):
    with pytest.raises(ValueError, match=rf"{name}: spatial_dims={dims}, but this network exists in 2D"):
        create_network(name, 3, 1, spatial_dims=dims)


def test_spatial_dims_may_be_named_to_a_network_that_has_only_one():
    assert create_network("vm_unet", 3, 1, dims=(8, 16, 32, 64), spatial_dims=2).input_channels == 3


def test_network_without_its_optional_package_is_listed_and_not_built(monkeypatch):
    requires = ("torch", "no_such_package")
    lacking = replace(presets.VM_UNET, requires=requires, extra="others", network="no_such_package:Network")
    monkeypatch.setitem(presets._BY_NAME, "vm_unet", lacking)

    assert "vm_unet" in list_networks()
    with pytest.raises(
        ModuleNotFoundError,
        match=r"^vm_unet needs no_such_package, which is not installed: pip install 'nnunet-mamba\[others\]'$",
    ):
        create_network("vm_unet", 3, 1)
