import pytest

from nnunet_mamba import create_network, list_networks


def test_lists_names_sorted():
    names = list_networks()

    assert "ultralight_vm_unet" in names
    assert names == sorted(names)


def test_overrides_replace_the_published_arguments():
    network = create_network("ultralight_vm_unet", input_channels=1, num_classes=4, bridge=False, n_parallel=2)

    assert network.bridge is None
    assert network.bottleneck.n_parallel == 2
    assert network.encoder[0].mixer.weight.shape == (8, 1, 3, 3)
    assert network.seg_layers[0].weight.shape == (4, 8, 1, 1)


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
