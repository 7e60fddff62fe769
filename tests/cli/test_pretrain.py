import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.classification import encoder_pretraining
from nnunet_mamba.cli.main import app

SMALL = {"dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1)}


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures in one folder, and a table of their diagnoses."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rows = ["image_id,melanoma,seborrheic_keratosis"]
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"ISIC_{number}.png")
        rows.append(f"ISIC_{number},{number % 3 == 1:d}.0,{number % 3 == 2:d}.0")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def _small(monkeypatch):
    """The networks with few channels, which the command has no option for."""
    settings = encoder_pretraining.pretraining_settings
    monkeypatch.setattr(
        encoder_pretraining,
        "pretraining_settings",
        lambda network, **changes: settings(network, **changes, overrides=SMALL),
    )


def run(*arguments):
    return CliRunner().invoke(app, ["pretrain", *map(str, arguments), "--no-progress"])


@pytest.mark.usefixtures("_small")
def test_images_and_a_table_become_weights_for_a_training(pictures, tmp_path):
    output = tmp_path / "out" / "weights.pth"
    arguments = (pictures, "--labels", tmp_path / "labels.csv", "-o", output, "--size", 32, "--epochs", 1)

    result = run(*arguments, "--batch-size", 4, "--held-out", 0.25, "--device", "cpu")

    assert result.exit_code == 0, result.output
    assert "9 images to train with (melanoma 3, seborrheic_keratosis 3, other 3), 3 held out" in result.output
    assert "vm_unet, 3 → 1: weights of a classification network" in result.output
    assert result.stdout.splitlines()[-1] == f"{output} (nnUNetv2_train ... -pretrained_weights {output})"
    assert "layers.0.blocks.0.ss2d.A_logs" in torch.load(output, weights_only=True)["network_weights"]
    assert {path.name for path in (output.parent / "weights-training").iterdir()} == {
        *("best.safetensors", "last.safetensors", "history.json", "vmamba.pth"),
    }
    refused = run(*arguments)
    assert "exists; choose another name, or pass --overwrite" in refused.stderr
    other = run(*arguments, "--overwrite", "--batch-size", 3, "--held-out", 0.25, "--device", "cpu")
    assert "holds a training with other batch_size; choose another --output, beside which" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--held-out", 2), "Error: --held-out 2.0, expected a number between 0 and 1"),
        (("--device", "gpu"), "Error: --device gpu, expected 'cpu', 'cuda'"),
        ((), "holds 12 images beside its folders, the first is ISIC_0.png"),
    ],
)
def test_mistakes_are_one_line(pictures, tmp_path, arguments, message):
    labels = ("--labels", tmp_path / "labels.csv") if arguments else ()
    result = run(pictures, "-o", tmp_path / "weights.pth", *labels, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "weights.pth").exists()


def test_networks_are_those_whose_encoders_can_be_trained(pictures, tmp_path):
    from nnunet_mamba.cli.pretrain import Network

    assert {network.value for network in Network} == set(encoder_pretraining.ENCODERS)
    assert run(pictures, "-o", tmp_path / "w.pth", "--network", "u_mamba_bot").exit_code == 2
