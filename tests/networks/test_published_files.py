import contextlib
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights

from nnunet_mamba import create_network
from nnunet_mamba.networks.published_files import import_weights, read_weights
from nnunet_mamba.networks.upstream_weights import published_name

VM_UNET = {"dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1)}


def published_weights(name, input_channels, num_classes, **overrides):
    network = create_network(name, input_channels, num_classes, **overrides)
    prefix = getattr(network, "published_prefix", "")
    return {
        prefix + published_name(network, key): torch.rand(value.shape).to(value.dtype)
        for key, value in network.state_dict().items()
        if "all_modules" not in key
    }


def saved(folder, content, name="published.pth"):
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize("wrapped", [lambda w: w, lambda w: {"model": w}, lambda w: {"epoch": 3, "state_dict": w}])
def test_weights_are_found_where_training_scripts_put_them(tmp_path, wrapped):
    weights = published_weights("ultralight_vm_unet", 3, 1)

    read = read_weights(saved(tmp_path, wrapped({f"module.{key}": value for key, value in weights.items()})))

    assert set(read) == set(weights)


def test_counters_of_thop_are_no_weights(tmp_path):
    weights = published_weights("ultralight_vm_unet", 3, 1)
    counted = {**weights, "total_ops": torch.zeros(1), "encoder1.0.total_params": torch.zeros(1)}

    assert set(read_weights(saved(tmp_path, counted))) == set(weights)


@pytest.mark.parametrize(
    ("name", "input_channels", "num_classes", "overrides"),
    [
        ("ultralight_vm_unet", 4, 6, {}),
        ("ultralight_vm_unet", 1, 2, {"split_att": "conv"}),
        ("vm_unet", 1, 9, VM_UNET),
        ("u_mamba_bot", 2, 5, {"features_per_stage": (4, 8), "kernel_sizes": 3, "strides": (1, 2)}),
        ("unext", 4, 2, {}),
        ("u_lite", 1, 3, {}),
        ("cmunext_s", 2, 2, {}),
        ("lightm_unet", 4, 6, {}),
        ("lightm_unet", 2, 5, {"separable": True}),
    ],
)
def test_channels_and_classes_are_the_weights(tmp_path, name, input_channels, num_classes, overrides):
    file = saved(tmp_path, published_weights(name, input_channels, num_classes, **overrides))

    imported = import_weights(file, name, tmp_path / "out.pth", overrides=overrides)

    # VM-UNet's weights do not know whether the images were grey or coloured.
    assert imported.input_channels == (3 if name == "vm_unet" else input_channels)
    assert imported.num_classes == num_classes
    assert (imported.report.missing, imported.report.unused, imported.report.mismatched) == ((), (), ())


@pytest.mark.parametrize("num_classes", [1, 4])
def test_stock_nnunet_accepts_the_checkpoint_for_any_number_of_classes(tmp_path, num_classes):
    weights = published_weights("ultralight_vm_unet", 3, 1)
    import_weights(saved(tmp_path, weights), "ultralight_vm_unet", tmp_path / "out.pth")
    network = create_network("ultralight_vm_unet", 3, num_classes)

    load_pretrained_weights(network, str(tmp_path / "out.pth"))

    for key, value in network.state_dict().items():
        if ".seg_layers." not in key:
            assert torch.equal(value, weights[published_name(network, key)])


def classifier():
    weights = published_weights("vm_unet", 3, 1, **VM_UNET)
    encoder = {
        key.removeprefix("vmunet."): value
        for key, value in weights.items()
        if "layers_up" not in key and "final" not in key
    }
    return {**encoder, "norm.weight": torch.ones(64), "norm.bias": torch.ones(64), "head.weight": torch.ones(9, 64)}


def test_classifier_is_imported_in_part_and_the_rest_is_always_the_same(tmp_path):
    file = saved(tmp_path, {"model": classifier()})

    reports = [
        import_weights(file, "vm_unet", tmp_path / name, overrides=VM_UNET).report for name in ("a.pth", "b.pth")
    ]

    assert reports[0] == reports[1]
    assert reports[0].source == "backbone"
    assert "final_conv.weight" in reports[0].missing
    first, second = (torch.load(tmp_path / name, weights_only=True)["network_weights"] for name in ("a.pth", "b.pth"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_importing_leaves_the_callers_random_numbers_alone(tmp_path):
    file = saved(tmp_path, published_weights("ultralight_vm_unet", 3, 1))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)

    import_weights(file, "ultralight_vm_unet", tmp_path / "out.pth")

    assert torch.equal(torch.rand(2), expected)


def test_incomplete_weights_are_refused_unless_asked_for(tmp_path):
    weights = published_weights("ultralight_vm_unet", 3, 1)
    del weights["ebn1.weight"]
    file = saved(tmp_path, weights)

    with pytest.raises(ValueError, match=r"missing in the weights: ebn1\.weight"):
        import_weights(file, "ultralight_vm_unet", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
    report = import_weights(file, "ultralight_vm_unet", tmp_path / "out.pth", partial=True).report

    assert report.missing == ("ebn1.weight",)
    assert (tmp_path / "out.pth").exists()


class RunsCode:
    def __reduce__(self):
        return (Path.touch, (Path("proof-that-code-ran"),))


def test_file_that_would_run_code_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = saved(tmp_path, {"model": {"weight": torch.zeros(1)}, "config": RunsCode()})

    with pytest.raises(ValueError, match=r"holds more than tensors and plain values .* was not read\. If you trust"):
        read_weights(file)

    assert not Path("proof-that-code-ran").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_file_that_is_not_whole_is_refused(tmp_path, damage):
    file = saved(tmp_path, {"weight": torch.zeros(1000)})
    content = {"cut": file.read_bytes()[:1500], "empty": b"", "text": b"<html>not found</html>"}[damage]
    file.write_bytes(content)

    with pytest.raises(ValueError, match=rf"{re.escape(str(file))}: not a whole file .*begins with") as error:
        read_weights(file)
    assert "If you trust" not in str(error.value)


def test_a_file_of_the_old_format_that_was_cut_is_refused_wherever_it_ends(tmp_path):
    file = tmp_path / "old.pth"
    torch.save({"weight": torch.zeros(300)}, file, _use_new_zipfile_serialization=False)
    whole = file.read_bytes()
    for length in range(1, len(whole) - 1, 61):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"old\.pth: (not a whole file|holds)"):
            read_weights(file)


@pytest.mark.parametrize("is_zip", [True, False])
def test_overwritten_bytes_raise_nothing_but_a_refusal(tmp_path, is_zip):
    file, random = tmp_path / "overwritten.pth", Random(0)
    torch.save({"epoch": 3, "model": {"weight": torch.zeros(3)}}, file, _use_new_zipfile_serialization=is_zip)
    whole = file.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(random.choice((1, 2, 4))):
            damaged[random.randrange(min(len(damaged), 900))] = random.randrange(256)
        file.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            read_weights(file)


@pytest.mark.parametrize(
    ("network", "overrides", "unlike", "trainer"),
    [
        ("ultralight_vm_unet", {}, (), ""),
        ("ultralight_vm_unet", {"n_parallel": 4, "spatial_dims": 2}, (), ""),
        ("ultralight_vm_unet", {"n_parallel": 2}, (), "nnUNetTrainerUltraLightVM_parallel2"),
        ("ultralight_vm_unet", {"n_parallel": 8}, ("n_parallel",), ""),
        ("ultralight_vm_unet", {"n_parallel": 2, "encoder_mixer": "conv"}, ("n_parallel", "encoder_mixer"), ""),
        ("ultralbm_unet", {"flip": "channels"}, ("flip",), ""),
    ],
)
def test_options_that_no_trainer_builds_are_told_and_else_the_variants_trainer(
    tmp_path, network, overrides, unlike, trainer
):
    net = create_network(network, 3, 1, **overrides)
    weights = {published_name(net, key): value for key, value in net.state_dict().items()}
    imported = import_weights(saved(tmp_path, weights), network, tmp_path / "out.pth", overrides=overrides)
    assert (imported.unlike_trainer, imported.variant_trainer) == (unlike, trainer)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(1)], torch.zeros(1), {}])
def test_file_without_weights_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"holds .*, expected weights by name"):
        read_weights(saved(tmp_path, content))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth: no such file"):
        read_weights(tmp_path / "nowhere.pth")


def test_a_checkpoint_of_nnunet_is_sent_to_nnunet(tmp_path):
    # nnU-Net's own checkpoints hold numpy's numbers, which are not read.
    content = {"network_weights": {"a": torch.zeros(1)}, "trainer_name": "nnUNetTrainer", "_best_ema": np.float64(0.5)}

    for saved_content in (content, {**content, "_best_ema": 0.5}):
        with pytest.raises(ValueError, match=r"needs no import\. .*nnUNetv2_train \.\.\. -pretrained_weights .*\.pth"):
            read_weights(saved(tmp_path, saved_content))


def test_a_file_with_code_is_not_sent_to_nnunet_which_would_run_it(tmp_path):
    content = {"network_weights": {"a": torch.zeros(1)}, "trainer_name": "nnUNetTrainer", "_best_ema": np.float64(0.5)}
    path = saved(tmp_path, {**content, "extra": slice(3)})

    with pytest.raises(ValueError, match=r"so it was not read") as refused:
        read_weights(path)

    assert "-pretrained_weights" not in str(refused.value)


def test_values_that_are_no_numbers_are_told_with_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"\.pth: published weights: 'b' is a str, expected a tensor"):
        read_weights(saved(tmp_path, {"a": torch.zeros(1), "b": "text"}))


def test_numbers_that_are_not_finite_are_not_written(tmp_path):
    weights = published_weights("ultralight_vm_unet", 3, 1)
    weights["ebn1.weight"] = weights["ebn1.weight"] * float("nan")

    with pytest.raises(ValueError, match=r"not finite .* 'ebn1\.weight'"):
        import_weights(saved(tmp_path, weights), "ultralight_vm_unet", tmp_path / "out.pth")

    assert not (tmp_path / "out.pth").exists()


def test_networks_that_nnunet_does_not_train_are_told_from_those_that_it_does(tmp_path):
    with pytest.raises(
        ValueError, match=r"vim_tiny is a classification network, .*load_upstream_weights\(create_network"
    ):
        import_weights(tmp_path / "vim.pth", "vim_tiny", tmp_path / "out.pth")
