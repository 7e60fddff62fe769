import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nnunet_mamba import create_network
from nnunet_mamba.cli.main import app
from nnunet_mamba.networks.upstream_weights import published_name


@pytest.fixture
def published(tmp_path):
    network = create_network("ultralight_vm_unet", 3, 1, split_att="conv")
    weights = {published_name(network, key): torch.rand_like(value) for key, value in network.state_dict().items()}
    torch.save(weights, tmp_path / "best.pth")
    return tmp_path / "best.pth"


def run(*arguments):
    return CliRunner().invoke(app, ["import-weights", *map(str, arguments)])


def test_writes_a_checkpoint_and_says_how_to_use_it(published, tmp_path):
    output = tmp_path / "out.pth"

    result = run(published, "--network", "ultralight_vm_unet", "--output", output, "--set", "split_att=conv")

    assert result.exit_code == 0, result.output
    assert "ultralight_vm_unet, 3 → 1: weights of published code" in result.output
    assert "129 keys loaded" in result.output
    assert "with another split_att than nnU-Net's trainer of it builds" in result.output
    weights = torch.load(output, weights_only=True)["network_weights"]
    assert torch.equal(weights["bottleneck.proj.bias"], torch.load(published)["encoder6.0.proj.bias"])


@pytest.mark.parametrize(("network", "has_notice"), [("ultralight_vm_unet", False), ("ultralbm_unet_t", True)])
def test_weights_of_the_trainers_own_network_end_with_its_command(tmp_path, network, has_notice):
    net = create_network(network, 3, 1)
    weights = {published_name(net, key): value for key, value in net.state_dict().items()}
    torch.save(weights, tmp_path / "best.pth")
    result = run(tmp_path / "best.pth", "--network", network, "--output", tmp_path / "out.pth")
    assert result.exit_code == 0, result.output
    assert f"-pretrained_weights {tmp_path / 'out.pth'})" in result.output
    assert ("turn the sequence" in result.output) == has_notice


def test_weights_of_a_variant_end_with_the_command_of_its_trainer(tmp_path):
    net = create_network("ultralight_vm_unet", 3, 1, n_parallel=2)
    torch.save({published_name(net, key): value for key, value in net.state_dict().items()}, tmp_path / "best.pth")
    output = tmp_path / "out.pth"
    options = ("--network", "ultralight_vm_unet", "--set", "n_parallel=2", "--output", output)
    result = run(tmp_path / "best.pth", *options)
    assert result.exit_code == 0, result.output
    assert f"-tr nnUNetTrainerUltraLightVM_parallel2 -pretrained_weights {output})" in result.output


def test_a_terminal_that_does_not_know_a_character_gets_a_question_mark(published, tmp_path):
    arguments = ["--network", "ultralight_vm_unet", "--output", tmp_path / "out.pth", "--set", "split_att=conv"]
    process = subprocess.run(
        [sys.executable, "-c", "from nnunet_mamba.cli.main import app; app()", "import-weights", published, *arguments],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert "ultralight_vm_unet, 3 ? 1: weights" in process.stdout


def test_sizes_are_lists_in_json(published, tmp_path):
    sizes = "channels=[8, 16, 24, 32, 48, 60]"

    result = run(published, "--network", "ultralight_vm_unet", "--output", tmp_path / "out.pth", "--set", sizes)

    assert result.exit_code == 1
    assert "encoder6.0.proj.weight is (64, 48) in the weights, (60, 48) in the network" in result.stderr


def test_existing_output_is_kept(published, tmp_path):
    output = tmp_path / "out.pth"
    output.write_bytes(b"mine")
    arguments = (published, "--network", "ultralight_vm_unet", "--output", output, "--set", "split_att=conv")

    refused = run(*arguments)

    assert refused.exit_code == 1
    assert "exists; choose another name, or pass --overwrite" in refused.stderr
    assert output.read_bytes() == b"mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert output.read_bytes() != b"mine"


def test_what_stays_at_its_initial_value_is_named(published, tmp_path):
    weights = torch.load(published)
    del weights["ebn2.bias"]
    torch.save(weights, published)
    arguments = (
        published,
        "--network",
        "ultralight_vm_unet",
        "--output",
        tmp_path / "o.pth",
        "--set",
        "split_att=conv",
    )

    refused = run(*arguments)
    partly = run(*arguments, "--partial")

    assert refused.exit_code == 1
    assert "missing in the weights: ebn2.bias" in refused.stderr
    assert "1 keys keep their initial values: ebn2.bias" in partly.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--network", "ultra_light"), "unknown network 'ultra_light'; did you mean 'ultralight_vm_unet'"),
        (("--network", "ultralight_vm_unet", "--set", "splitatt=conv"), "no override 'splitatt'; did you mean"),
        (("--network", "ultralight_vm_unet", "--set", "conv"), "--set conv: expected NAME=VALUE"),
    ],
)
def test_mistakes_are_one_line(published, tmp_path, arguments, message):
    result = run(published, "--output", tmp_path / "out.pth", *arguments)

    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_places_that_cannot_hold_a_checkpoint_are_told_first(published, tmp_path):
    options = ("--network", "ultralight_vm_unet", "--set", "split_att=conv")
    (tmp_path / "file").touch()
    for output, message in (
        (tmp_path, "is a folder, expected the name of a checkpoint"),
        (tmp_path / "file" / "out.pth", "is a file, expected a folder"),
        (published, "exists; choose another name"),
    ):
        result = run(published, *options, "--output", output)
        assert result.exit_code == 1
        assert message in result.stderr
    before = published.read_bytes()
    result = run(published, *options, "--output", published, "--overwrite")
    assert "is the file that is imported, which would be lost" in result.stderr
    assert published.read_bytes() == before


def test_a_full_disk_leaves_no_half_checkpoint(published, tmp_path, monkeypatch):
    def full(content, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    output = tmp_path / "new" / "out.pth"
    result = run(published, "--network", "ultralight_vm_unet", "--set", "split_att=conv", "--output", output)
    assert result.exit_code == 1
    assert f"Error: {output} cannot be written; make room or choose another --output" in result.stderr
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split_att=NaN", "NaN is no finite number"),
        ("channels=[8,Infinity]", "Infinity is no finite number"),
        ("=conv", "expected NAME=VALUE"),
        ("split_att=", "expected NAME=VALUE"),
        ("num_classes=4", "channels and classes are those of the weights"),
    ],
)
def test_values_that_are_none_are_refused(published, tmp_path, override, message):
    arguments = ("--network", "ultralight_vm_unet", "--output", tmp_path / "out.pth")
    result = run(published, *arguments, "--set", override)
    assert result.exit_code == 1
    assert f"--set {override}: " in result.stderr
    assert message in result.stderr
    assert run(published, *arguments, "--set", "split_att=fc", "--set", "split_att=conv").exit_code == 1
    assert not (tmp_path / "out.pth").exists()


def test_nnunets_own_checkpoint_needs_no_import(tmp_path):
    weights = create_network("ultralight_vm_unet", 3, 2).state_dict()
    checkpoint = {
        "network_weights": weights,
        "trainer_name": "nnUNetTrainerUltraLightVM",
        "init_args": {"fold": 0},
        "_best_ema": np.float64(0.5),
    }
    torch.save(checkpoint, tmp_path / "checkpoint_final.pth")
    result = run(tmp_path / "checkpoint_final.pth", "--network", "ultralight_vm_unet", "--output", tmp_path / "out.pth")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "needs no import" in line
    assert line.endswith(f"nnUNetv2_train ... -pretrained_weights {tmp_path}/checkpoint_final.pth")


def test_weights_that_are_not_finite_are_refused(published, tmp_path):
    weights = torch.load(published)
    weights["ebn2.bias"][1] = float("nan")
    torch.save({"state_dict": weights}, published)
    arguments = ("--network", "ultralight_vm_unet", "--output", tmp_path / "out.pth", "--set", "split_att=conv")
    result = run(published, *arguments)
    assert result.exit_code == 1
    assert "best.pth: " in result.stderr
    assert "not finite (NaN or infinite), 'ebn2.bias'" in result.stderr
    assert not (tmp_path / "out.pth").exists()


def test_weights_of_another_kind_are_told_in_few_lines_with_the_commands_own_option(tmp_path):
    torch.save({f"layer{n}.weight": torch.zeros(2) for n in range(300)}, tmp_path / "other.pth")
    result = run(tmp_path / "other.pth", "--network", "ultralight_vm_unet", "--output", tmp_path / "out.pth")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) <= 25
    assert "partial=True" not in result.stderr
    assert "--partial" in result.stderr


@pytest.mark.parametrize(
    ("network", "asked", "way_out"),
    [
        ("ultralbm_unet", "ultralight_vm_unet", "of one of our networks; pass --network ultralbm_unet or "),
        *(
            (name, "ultralight_vm_unet", f"of one of our networks; pass --network {name} for them")
            for name in ("unext", "u_lite", "cmunext_s")
        ),
        ("lightm_unet", "u_lite", "of one of our networks; pass --network lightm_unet or "),
        ("vm_unet", "ultralight_vm_unet", "of VM-UNet or VMamba; pass --network vm_unet for them, and the sizes"),
        (
            "ultralight_vm_unet",
            "ultralight_vm_unet",
            "nothing was loaded. Pass the sizes of the weights with --set, or",
        ),
    ],
)
def test_weights_of_another_network_are_told_with_its_option(tmp_path, network, asked, way_out):
    net = create_network(network, 3, 1)
    weights = {published_name(net, key): value for key, value in net.state_dict().items()}
    weights.pop("ebn1.weight", None)
    torch.save(weights, tmp_path / "other.pth")
    result = run(tmp_path / "other.pth", "--network", asked, "--output", tmp_path / "out.pth")
    assert result.exit_code == 1
    assert way_out in result.stderr
    assert "or pass --partial to load what fits:" in result.stderr
    assert "attributes" not in result.stderr
