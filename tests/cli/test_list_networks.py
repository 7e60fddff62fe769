import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.cli import list_networks
from nnunet_mamba.cli.main import app
from nnunet_mamba.presets import CLASSIFIERS, PRESETS, Preset, Size
from nnunet_mamba.presets.trainer_names import variants_of_file


def size(image_size, n_parameters, giga_macs, giga_flops):
    return Size(
        arguments={},
        reference_input=(3, 14),
        image_size=image_size,
        n_parameters=n_parameters,
        giga_macs=giga_macs,
        giga_flops=giga_flops,
    )


def preset(name, source, *sizes):
    return Preset(name=name, title="T", trainer=f"nnUNetTrainer{name}", network="a:B", source=source, sizes=sizes)


@pytest.fixture
def _three_networks(monkeypatch):
    flat, thick = (
        size((256, 128), 49_457, 0.060240001, 0.146953856),
        size((40, 224, 192), 42_842_798, 783.799887, 1662.3),
    )
    presets = (
        preset("A", "First 2024", flat, thick),
        preset("B", "First 2024", flat),
        preset("C", "Second 2025", flat),
    )
    monkeypatch.setattr(list_networks, "PRESETS", {preset.name: preset for preset in presets})
    monkeypatch.setattr(list_networks, "trainer_names", lambda: [f"nnUNetTrainer{name}" for name in "ABCD"])


def run(*options):
    result = CliRunner().invoke(app, ["list", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("_three_networks")
def test_a_network_has_a_line_for_images_and_its_trainer_one_for_volumes():
    assert [" ".join(line.replace("\u00d7", "x").split()) for line in run().splitlines()] == [
        "network image in→out parameters GMACs GFLOPs",
        "",
        "First 2024",
        "A 256x128 3→14 49 457 0.060240 0.14695",
        "nnUNetTrainerA 40x224x192 3→14 42 842 798 783.80 1662.3",
        "B 256x128 3→14 49 457 0.060240 0.14695",
        "nnUNetTrainerB",
        "",
        "Second 2025",
        "C 256x128 3→14 49 457 0.060240 0.14695",
        "nnUNetTrainerC",
        "",
        "More trainers of these networks",
        "nnUNetTrainerD",
    ]


@pytest.mark.usefixtures("_three_networks")
def test_json_has_an_object_for_every_size_with_all_digits():
    rows = json.loads(run("--json"))
    assert [(row["network"], row["spatial_dims"]) for row in rows] == [("A", 2), ("A", 3), ("B", 2), ("C", 2)]
    assert rows[1] == {
        "network": "A",
        "title": "T",
        "trainer": "nnUNetTrainerA",
        "variants": [],
        "source": "First 2024",
        "spatial_dims": 3,
        "input_channels": 3,
        "num_classes": 14,
        "image_size": [40, 224, 192],
        "n_parameters": 42_842_798,
        "giga_macs": 783.799887,
        "giga_flops": 1662.3,
        "extra": None,
        "is_installed": True,
    }


def test_every_network_and_trainer_is_listed_in_columns_that_hold_them():
    lines = run().splitlines()
    assert max(map(len, lines)) <= 100
    names = [name for preset in PRESETS.values() for name in (preset.name, preset.trainer)]
    listed = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in names]
    assert listed == names
    assert {(row["network"], row["spatial_dims"]) for row in json.loads(run("--json"))} == {
        (preset.name, dims) for preset in PRESETS.values() for dims in preset.spatial_dims
    }
    others = lines.index("More trainers of these networks")
    assert lines[others + 1 : others + 3] == ["  nnUNetTrainerUltraLBMTDistill", ""]
    variants = " ".join(lines[others + 4 :]).split()
    first = [name for name in variants if not name.startswith("_")]
    assert first == [
        f"{trainer}_{variants_of_file(trainer)[0]}" for trainer in trainer_names() if variants_of_file(trainer)
    ]
    assert {f"_{name.rpartition('_')[2]}" for name in variants} == {
        f"_{variant}" for trainer in trainer_names() for variant in variants_of_file(trainer)
    }
    numbers_end = {len(line) for line in lines if line.split() and line.split()[0] in names and len(line.split()) > 1}
    assert numbers_end == {len(lines[0])}


def test_networks_for_classification_are_listed_by_their_task():
    lines = run("--task", "classification").splitlines()
    names = [line.split()[0] for line in lines if line.split() and line.split()[0] in CLASSIFIERS]
    assert names == list(CLASSIFIERS)
    line = next(line for line in lines if line.startswith("vim_tiny"))
    assert " ".join(line.replace("×", "x").split()) == "vim_tiny 224x224 3→1000 7 148 008 3.1160"
    rows = json.loads(run("--task", "classification", "--json"))
    assert [(row["network"], row["n_parameters"]) for row in rows] == [
        (preset.name, preset.n_parameters) for preset in CLASSIFIERS.values()
    ]


def test_imports_nothing_heavy():
    script = (
        "import sys; from nnunet_mamba.cli.main import app; app(['list'], standalone_mode=False);"
        "print({'torch', 'numpy', 'pandas', 'nnunetv2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "set()"
