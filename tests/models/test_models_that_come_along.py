"""The models in the package: whole, small, described, licensed, and able to find a lesion that they have not seen."""

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba import Predictor
from nnunet_mamba.demo.lesions import write_isic_folder
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.shipped_models import find_shipped_model, shipped_folder, shipped_models
from nnunet_mamba.models.verification import verify_model

MODELS = shipped_models()
MOST_BYTES = 300_000


def test_isic_is_one_of_them():
    assert "isic" in {alias for model in MODELS for alias in model.aliases}
    assert find_shipped_model("isic").name.endswith("-isic")


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
def test_a_model_is_whole_small_and_says_what_it_is(model):
    verify_model(model.name)
    opened = open_model(model.name)
    described, card = opened.description, opened.card()
    assert model.n_bytes <= MOST_BYTES
    assert described.name == model.name
    assert described.network is not None
    assert described.conversion.size == (256, 256)
    assert described.data.splits_sha256
    assert described.training.seed is not None
    assert {score.protocol for score in described.scores} == {"mean over cases", "pooled pixels"}
    assert "Not a medical device" in card
    assert "CC BY-NC" in described.licences.weights
    assert not [line for line in card.splitlines() if line == "Not stated."]
    log = (model.folder / "training_log.csv").read_text().splitlines()
    assert len(log) == 1 + described.training.epochs


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
def test_a_model_finds_drawn_lesions_that_are_not_even_photographs(model, tmp_path):
    images, masks = write_isic_folder(tmp_path, n_cases=6, seed=2024, first=81, progress=False)
    predictor = Predictor.from_model(model.name, device="cpu")
    dices = []
    for image in sorted(images.iterdir()):
        truth = np.asarray(Image.open(next(masks.glob(f"{image.stem}*")))) > 0
        found = predictor.predict(np.asarray(Image.open(image).convert("RGB"))) > 0
        dices.append(2 * (truth & found).sum() / (truth.sum() + found.sum()))
    assert np.median(dices) > 0.85


def test_the_weights_have_a_licence_of_their_own():
    assert "not under the licence of the code" in (shipped_folder() / "LICENCE-OF-WEIGHTS.md").read_text()
