"""The engine of ONNX files gives what the engine in torch gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.models.opening import open_model
from nnunet_mamba.prediction.engine import NonFiniteLogitsError
from nnunet_mamba.prediction.onnx_engine import OnnxNetworks
from nnunet_mamba.prediction.plan import Heads, Normalization, PredictionPlan
from nnunet_mamba.prediction.predictor import Predictor
from nnunet_mamba.prediction.preprocessing import UnsuitableImageError
from nnunet_mamba.prediction.sliding_window import SlidingWindow
from nnunet_mamba.web.shipped_page import network_folder

FILE = network_folder() / "ultralbm-isic.onnx"
WINDOW = (16, 24)


class InTorch:
    """A session whose network is one of torch's."""

    def __init__(self, network):
        self.network, self.n_passes = network, 0

    def run(self, images):
        self.n_passes += 1
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(np.ascontiguousarray(images))).numpy()
        return logits, logits


def plan(n_heads=3):
    return PredictionPlan(
        configuration="2d",
        patch_size=WINDOW,
        spacing=(1.0, 1.0),
        transpose_forward=(0, 1, 2),
        normalizations=(Normalization(scheme="ZScoreNormalization"),) * 2,
        heads=Heads(n_heads=n_heads, n_foreground=n_heads - 1),
        needs_nnunet=None,
    )


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Conv2d(2, 3, 5, padding=2).eval()


@pytest.mark.parametrize("size", [WINDOW, (16, 40), (50, 61)], ids=str)
@pytest.mark.parametrize("mirror_axes", [(), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("n_slices", [1, 3])
def test_windows_are_added_as_in_torch(network, size, mirror_axes, n_slices):
    slices = np.random.default_rng(0).normal(size=(n_slices, 2, *size)).astype(np.float32)
    ours = OnnxNetworks(InTorch(network), plan(), mirror_axes=mirror_axes)
    in_torch = SlidingWindow([network], window=WINDOW, n_heads=3, mirror_axes=mirror_axes, device=torch.device("cpu"))
    found, expected = ours.logits(slices), in_torch.logits(slices)
    assert found.dtype == np.float16
    # A batch of another size may be rounded otherwise, by the last bit of a half at most.
    assert (found != expected).mean() < 1e-2
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=2e-3, atol=1e-3)


def test_many_slices_need_several_passes_and_give_the_same(network):
    slices = np.random.default_rng(0).normal(size=(7, 2, *WINDOW)).astype(np.float32)
    session = InTorch(network)
    networks = OnnxNetworks(session, plan(), mirror_axes=(0, 1))
    expected = networks.logits(slices)
    assert session.n_passes == 1
    for most, n_passes in ((8, 4), (1, 28)):
        networks._most_windows, session.n_passes = most, 0
        np.testing.assert_allclose(networks.logits(slices), expected, rtol=0, atol=1e-2)
        assert session.n_passes == n_passes


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e6])
def test_refuses_outputs_that_half_precision_does_not_hold(network, number):
    network.bias.data[1] = number
    networks = OnnxNetworks(InTorch(network), plan(), mirror_axes=())
    with pytest.raises(NonFiniteLogitsError, match="not finite"):
        networks.logits(np.zeros((1, 2, *WINDOW), np.float32))


@pytest.fixture(scope="module")
def predictors():
    return {
        is_mirroring: [Predictor.from_model(model, device="cpu", mirroring=is_mirroring) for model in ("isic", FILE)]
        for is_mirroring in (False, True)
    }


def photograph(height, width, *, frame=(0, 0, 0, 0)):
    """A dark spot on skin, in a black frame of so many pixels above, below, left and right."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    spot = 1 / (1 + np.exp(9 * (np.hypot(y - 0.1, x + 0.2) - 0.5 - 0.1 * np.sin(5 * np.arctan2(y, x)))))
    noise = np.random.default_rng(0).normal(scale=4, size=(height, width, 3))
    pixels = np.clip(np.array([210, 160, 140]) - spot[..., None] * np.array([120, 100, 80]) + noise, 1, 255)
    image = pixels.astype(np.uint8)
    above, below, left, right = frame
    image[:above] = image[height - below :] = image[:, :left] = image[:, width - right :] = 0
    return image


IMAGES = {
    "small": photograph(90, 120),
    "large": photograph(700, 500),
    "framed": photograph(256, 256, frame=(30, 41, 0, 77)),
    "framed below": photograph(256, 256, frame=(0, 3, 1, 0)),
    "black": np.zeros((64, 64, 3), np.uint8),
    "one colour": photograph(256, 256) * np.array([1, 0, 0], np.uint8),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("is_mirroring", [False, True])
def test_a_photograph_has_the_label_map_and_probabilities_of_torch(predictors, name, is_mirroring):
    in_torch, ours = predictors[is_mirroring]
    image = IMAGES[name]
    np.testing.assert_array_equal(ours.predict(image), in_torch.predict(image))
    difference = np.abs(ours.predict_probabilities(image) - in_torch.predict_probabilities(image))
    # Half precision rounds a logit of 10 to the next 128th.
    assert difference.max() < 5e-3


def test_several_photographs_share_passes(predictors):
    _, ours = predictors[True]
    several = ours.predict([*IMAGES.values()])
    for image, found in zip(IMAGES.values(), several, strict=True):
        assert (found != ours.predict(image)).mean() < 1e-4


def test_the_predictor_tells_what_decides_its_masks(predictors):
    with_mirroring, without = predictors[True][1], predictors[False][1]
    assert with_mirroring.is_mirroring
    assert not without.is_mirroring
    assert with_mirroring.weights_digest == open_model(FILE).onnx.sidecar.sha256
    assert with_mirroring.postprocessing == open_model("isic").description.postprocessing
    assert Predictor.from_model(FILE, postprocessing=False).postprocessing == ()


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((3, 2, 256, 256), "has 2 slices of 256×256 pixels, and the ONNX file takes one of 256×256 at most"),
        ((3, 1, 300, 256), "has 1 slice of 300×256 pixels, and the ONNX file takes one of 256×256 at most"),
    ],
)
def test_what_the_file_does_not_see_as_a_whole_is_refused(predictors, shape, told):
    image = np.random.default_rng(0).integers(1, 255, shape).astype(np.float32)
    with pytest.raises(UnsuitableImageError, match=told):
        predictors[False][1].predict(image)


def test_what_must_be_resampled_is_refused(predictors):
    with pytest.raises(UnsuitableImageError, match="nnU-Net resamples such an image"):
        predictors[False][1].predict(np.ones((3, 1, 100, 100), np.float32), spacing=(1.0, 2.0, 2.0))


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_other_devices_are_refused(device):
    with pytest.raises(ValueError, match=f"`device` {device}: .* is predicted on the CPU"):
        Predictor.from_model(FILE, device=device)


def _with_facts(model, **normalization):
    sidecar = model.onnx.sidecar
    facts = {**sidecar.facts, "normalization": {**sidecar.facts["normalization"], **normalization}}
    return replace(model, onnx=replace(model.onnx, sidecar=replace(sidecar, facts=facts)))


def test_a_file_that_counts_black_margins_is_refused():
    with pytest.raises(ValueError, match=r"cuts_margin is false, expected true.*export the model anew"):
        Predictor(_with_facts(open_model(FILE), cuts_margin=False))


@pytest.mark.parametrize("entries", [{"is_inside": False}, {"schemes": "other"}], ids=str)
def test_a_file_whose_sidecar_was_changed_is_refused(entries):
    with pytest.raises(ValueError, match=r"its sidecar do not tell the same of the model.*export the model anew"):
        Predictor(_with_facts(open_model(FILE), **entries))


def test_plans_that_only_nnunet_knows_are_refused():
    model = open_model(FILE)
    plans = dict(model.description.plans)
    (configuration,) = plans["configurations"]
    entries = {**plans["configurations"][configuration], "preprocessor_name": "MyPreprocessor"}
    plans["configurations"] = {configuration: entries}
    with pytest.raises(ValueError, match="only nnU-Net prepares images for this model"):
        Predictor(replace(model, description=replace(model.description, plans=plans)))
