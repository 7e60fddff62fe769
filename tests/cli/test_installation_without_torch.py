"""A new environment that has what the documentation says for ONNX files, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnunet_mamba.web.shipped_page import network_folder

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("onnxruntime", "numpy", "pillow", "typer", "rich")
MOST_DOWNLOADED, MOST_INSTALLED = 60e6, 220e6


def _size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _run(*line, **variables):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("nnUNet", "NNUNET_MAMBA", "PYTHON"))
    }
    return subprocess.run([*map(str, line)], env={**kept, **variables}, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_is_small_and_predicts(tmp_path):
    from PIL import Image

    wheels, environment = tmp_path / "wheels", tmp_path / "venv"
    fetched = _run(sys.executable, "-m", "pip", "download", "--only-binary", ":all:", "-d", wheels, *PACKAGES)
    if fetched.returncode:
        pytest.skip(f"pip cannot fetch packages here: {fetched.stderr.strip().splitlines()[-1]}")
    assert _run(sys.executable, "-m", "venv", "--without-pip", environment).returncode == 0
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install")
    built = _run(*pip, "--no-deps", CHECKOUT)
    assert built.returncode == 0, built.stderr
    installed = _run(*pip, "--no-index", "--find-links", wheels, *PACKAGES)
    assert installed.returncode == 0, installed.stderr

    assert _size(wheels) <= MOST_DOWNLOADED
    assert _size(environment) <= MOST_INSTALLED

    Image.effect_noise((300, 200), 40).convert("RGB").save(tmp_path / "photo.png")
    command, file = environment / "bin" / "nnunet-mamba", network_folder() / "ultralbm-isic.onnx"
    done = _run(command, "predict", tmp_path / "photo.png", "-m", file, "-o", tmp_path / "masks")
    assert (done.returncode, done.stderr) == (0, "")
    assert Image.open(tmp_path / "masks" / "photo.png").size == (300, 200)
    examined = _run(command, "doctor", "--json")
    assert examined.returncode == 1
    problems = [finding for finding in json.loads(examined.stdout)["findings"] if finding["level"] == "problem"]
    assert [finding["name"] for finding in problems] == ["torch, nnunetv2"]
    missing = _run(environment / "bin" / "python", "-c", "import torch")
    assert "No module named 'torch'" in missing.stderr
