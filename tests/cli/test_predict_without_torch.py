"""Where there is no package but onnxruntime, numpy, pillow, typer and rich, ONNX files predict, verify and outline."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hidden_packages import environment_with
from PIL import Image

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.prediction.predictor import Predictor
from nnunet_mamba.web.shipped_page import network_folder

FILE = network_folder() / "ultralbm-isic.onnx"
PACKAGES = ("onnxruntime", "numpy", "pillow", "typer", "rich")
HIDDEN = {"torch", "nnunetv2", "numba", "scipy", "skimage", "pandas", "SimpleITK", "nibabel", "contourpy", "matplotlib"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The environment of a process that finds these packages alone, and the checkout."""
    variables, hidden = environment_with(tmp_path_factory.mktemp("bare"), *PACKAGES)
    assert hidden >= HIDDEN | {"filelock", "tqdm", "onnx", "safetensors"}
    return variables


@pytest.fixture
def command(bare):
    """Return what runs ``nnunet-mamba`` there."""

    def run(*arguments):
        line = [sys.executable, "-m", "nnunet_mamba", *map(str, arguments)]
        return subprocess.run(line, env=bare, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "second visit").mkdir(parents=True)
    y, x = np.mgrid[-1:1:300j, -1:1:400j]
    for name, radius in {"a.png": 0.4, "b.jpg": 0.6, "second visit/c.jpeg": 0.5}.items():
        spot = 1 / (1 + np.exp(20 * (np.hypot(y, x) - radius)))
        pixels = np.array([210, 160, 140]) - spot[..., None] * np.array([120, 100, 80])
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


def test_photographs_get_the_masks_of_torch(command, photographs, tmp_path):
    output, report = tmp_path / "masks", tmp_path / "report.json"
    done = command("predict", photographs, "-m", FILE, "-o", output, "--probabilities", "--report", report)
    assert done.returncode == 0, done.stderr
    assert (done.stderr, done.stdout.splitlines()[0]) == (
        "",
        "3 of 3 images have masks, 3 of them written by this run:",
    )
    predictor = Predictor.from_model("isic", device="cpu")
    for name in ("a.png", "b.jpg", "second visit/c.jpeg"):
        mask = np.asarray(Image.open((output / name).with_suffix(".png"))) == 255
        expected = predictor.predict(np.asarray(Image.open(photographs / name))) == 1
        assert expected.any()
        assert (mask != expected).mean() <= 1e-4
        assert (output / "probabilities" / name).with_suffix(".npz").is_file()
    told = json.loads(report.read_text())
    assert told["model"] == "ultralbm-isic"
    assert told["versions"].keys() == {"nnunet-mamba", "onnxruntime", "numpy"}


def test_it_continues_in_parts_and_tells_of_what_fails(command, photographs, tmp_path):
    output = tmp_path / "masks"
    (photographs / "d.png").write_bytes(b"no image")
    for part in ("1/2", "2/2"):
        done = command("predict", photographs, "-m", FILE, "-o", output, "--part", part, "--no-mirroring")
        assert done.returncode in (0, 1), done.stderr
    done = command("predict", photographs, "-m", FILE, "-o", output, "--no-mirroring")
    assert done.returncode == 1
    assert done.stdout.startswith("3 of 4 images have masks, 0 of them written by this run")
    assert "d.png" in done.stderr
    # Other options would give other masks.
    other = command("predict", photographs, "-m", FILE, "-o", output)
    assert "mirroring: it has False, this run True" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-m", FILE, "--overlay"], "overlays need contourpy, which is not installed: pip install contourpy"),
        (["-m", FILE, "--statistics"], "statistics need scipy, which is not installed: pip install scipy"),
        (["-m", FILE, "-f", "0"], "inside of the file; leave --folds out"),
        (["-m", FILE, "--device", "cuda"], "is predicted on the CPU, expected cpu; leave it out"),
        (["-m", "isic"], "the weights of a model need torch and nnunetv2, which are not installed: pip install"),
    ],
    ids=lambda value: " ".join(map(str, value[2:])) if isinstance(value, list) else "",
)
def test_what_is_missing_or_impossible_is_told_before_anything_is_written(
    command, photographs, tmp_path, arguments, told
):
    done = command("predict", photographs, *arguments, "-o", tmp_path / "masks")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "masks").exists()


def test_files_are_verified_and_pages_written(command, tmp_path):
    assert command("verify", FILE).stdout.startswith(f"ok      {FILE}")
    for model in ("isic", FILE):
        page = tmp_path / "page.html"
        assert command("web", "-m", model, "-o", page).returncode == 0
        assert page.stat().st_size > 1e6
    assert command("models", "show", FILE).stdout.startswith("# ultralbm-isic")


def test_python_predicts_too(bare, photographs):
    code = f"""
import sys, numpy, nnunet_mamba
from PIL import Image
predictor = nnunet_mamba.Predictor.from_model({str(FILE)!r})
label = predictor.predict(numpy.asarray(Image.open({str(photographs / "a.png")!r})))
print(label.shape, label.dtype, label.max())
"""
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(300, 400) uint8 1\n", "")
