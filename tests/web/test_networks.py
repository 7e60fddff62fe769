"""The ONNX files that come along are what their models export to, and compute what these compute."""

import json

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.models.opening import open_model
from nnunet_mamba.onnx_models.session import OnnxSession
from nnunet_mamba.onnx_models.sidecar import read_sidecar
from nnunet_mamba.onnx_models.verification import verify_onnx
from nnunet_mamba.web.shipped_page import DEFAULT_MODEL, network_folder

FILES = sorted(network_folder().glob("*.onnx"))
# What the gate has found on the machine of the export, with the packages that were installed there.
OF_THE_EXPORT = ("gate", "n_parameters", "versions")


def images(rng):
    """Random images, one of them with a dark blob."""
    found = rng.uniform(0, 255, (2, 3, 256, 256)).astype(np.float32)
    found[1] = found[1] * 0.1 + 170
    found[1, :, 80:160, 90:200] -= 90
    return found


def test_the_page_without_a_model_has_its_network():
    assert network_folder() / f"{open_model(DEFAULT_MODEL).description.name}.onnx" in FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_network_computes_what_its_model_computes(file):
    from nnunet_mamba.prediction.predictor import Predictor

    sidecar = verify_onnx(file).sidecar
    predictor = Predictor.from_model(file.stem, device="cpu", mirroring=False, postprocessing=False)
    for image in images(np.random.default_rng(0)):
        _, probabilities = OnnxSession(file).run(image[None])
        expected = predictor.predict_probabilities(image[:, None])[:, 0]
        # The predictor rounds as nnU-Net does, to half precision, most in the corners of a window.
        difference = np.abs(probabilities[0] - expected)
        assert difference.max() < 0.01
        assert difference.mean() < 1e-4
    assert file.stat().st_size <= 300_000
    assert sidecar.facts["name"] == file.stem


def lasting(facts):
    """What an export says on every machine, with JSON's values."""
    return {name: value for name, value in json.loads(json.dumps(facts)).items() if name not in OF_THE_EXPORT}


@pytest.fixture
def subject(file):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="the extra onnx is not installed")
    from nnunet_mamba.export.subject import subject_of

    return subject_of(open_model(file.stem))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_network_comes_with_what_an_export_says_today(file, subject):
    # Where this fails: nnunet-mamba export --model NAME -o nnunet_mamba/web/networks/NAME.onnx, and commit both files.
    assert lasting(read_sidecar(file).facts) == lasting(subject.facts)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_network_equals_a_fresh_export(file, subject, tmp_path):
    from nnunet_mamba.export.onnx_export import write_onnx

    fresh = write_onnx(subject, tmp_path / "fresh.onnx").file
    assert lasting(verify_onnx(file).sidecar.facts) == lasting(verify_onnx(fresh).sidecar.facts)
    batch = images(np.random.default_rng(1))
    for found, expected in zip(OnnxSession(file).run(batch), OnnxSession(fresh).run(batch), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
