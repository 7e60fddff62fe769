"""The programs of the page on deploying run as they stand there, and give one mask."""

import gzip
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from PIL import Image

from nnunet_mamba.demo.lesions import draw_photograph
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.web.runtime_files import LOADER, MODULE, PARTS, WASM, read_runtime
from nnunet_mamba.web.shipped_page import DEFAULT_MODEL, network_of

PAGE = Path(__file__).parents[1] / "docs/how-to/deploy.md"
SHAPE = (300, 400)


def program(language):
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return block


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A photograph, and what the Python of the page has made of it, in the working folder."""
    monkeypatch.chdir(tmp_path)
    network = network_of(open_model(DEFAULT_MODEL).description.name)
    shutil.copy(network, "lesion.onnx")
    shutil.copy(f"{network}.json", "lesion.onnx.json")
    found = draw_photograph(seed=0, number=0, shape=SHAPE)
    Image.fromarray(found.image).save("photo.jpg")
    exec(program("python"), {})
    return found


def assert_is_the_mask_of_python(file):
    mask = Image.open(file)
    whole = np.asarray(mask.resize(SHAPE[::-1], Image.Resampling.NEAREST))
    # A tie between two builds of onnxruntime may fall on either side.
    assert np.mean(whole == np.asarray(Image.open("mask.png"))) >= 0.9999
    assert mask.size == Image.open("small.ppm").size


def test_python_outlines_the_lesion(drawn):
    mask, truth = np.asarray(Image.open("mask.png")) > 0, drawn.mask > 0
    assert mask.shape == SHAPE
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8


@pytest.mark.usefixtures("drawn")
def test_python_turns_a_photograph_upright():
    upright = np.asarray(Image.open("mask.png")) > 0
    turned = Image.open("photo.jpg").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save("photo.jpg", exif=exif, quality=95)

    exec(program("python"), {})

    found = np.asarray(Image.open("mask.png")) > 0
    assert found.shape == SHAPE
    assert 2 * (found & upright).sum() / (found.sum() + upright.sum()) > 0.95


@pytest.mark.usefixtures("drawn")
def test_javascript_gives_the_same_mask():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    package = Path("node_modules/onnxruntime-web")
    package.mkdir(parents=True)
    packed = read_runtime().packed
    assert set(PARTS) == {MODULE, LOADER, WASM}
    for name in PARTS:
        (package / name).write_bytes(gzip.decompress(packed[name]))
    (package / "package.json").write_text(f'{{"type": "module", "exports": "./{MODULE}"}}')
    Path("lesion.mjs").write_text(program("javascript"), encoding="utf-8")

    done = subprocess.run([node, "lesion.mjs"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert_is_the_mask_of_python("mask.pgm")


def flags_of_the_library():
    """What the compiler must be told of onnxruntime's C++ library."""
    if root := os.environ.get("ONNXRUNTIME_ROOT"):
        return [f"-I{root}/include", f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-lonnxruntime"]
    if shutil.which("pkg-config"):
        found = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libonnxruntime"], capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            return shlex.split(found.stdout)
    return pytest.skip("neither ONNXRUNTIME_ROOT nor pkg-config names onnxruntime's C++ library")


@pytest.mark.usefixtures("drawn")
def test_cpp_gives_the_same_mask():
    flags, compiler = flags_of_the_library(), shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    Path("lesion.cpp").write_text(program("cpp"), encoding="utf-8")
    subprocess.run([compiler, "-std=c++17", "-O1", "lesion.cpp", *flags, "-o", "lesion"], check=True)

    done = subprocess.run(
        ["./lesion", "lesion.onnx", "small.ppm", "mask.pgm"], capture_output=True, text=True, check=False
    )
    refused = subprocess.run(
        ["./lesion", "lesion.onnx", "photo.jpg", "no.pgm"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert_is_the_mask_of_python("mask.pgm")
    assert refused.returncode == 1
    assert "expected a binary PPM" in refused.stderr


def test_pytorch_alone_gives_logits_and_probabilities(tmp_path, monkeypatch):
    """On a program that stands for an exported one, which takes minutes to make."""
    import torch

    class Brightness(torch.nn.Module):
        def forward(self, image):
            logits = image.mean(dim=1, keepdim=True) - 128
            return logits, torch.sigmoid(logits)

    monkeypatch.chdir(tmp_path)
    torch.export.save(torch.export.export(Brightness(), (torch.rand(1, 3, 4, 4),)), "lesion.pt2")
    names = {"batch": np.full((1, 3, 4, 4), 200, np.float32)}
    exec(program("py"), names)
    assert names["probabilities"].shape == (1, 1, 4, 4)
