import json
from dataclasses import replace

import pytest

from nnunet_mamba.models.opening import open_model
from nnunet_mamba.web.page_model import page_model

CARD = """# a-model

## Intended use

For teaching,
and nothing else.

## Training data

- Cases: 7

Seven images of one clinic.

A second paragraph.

## Limits

- Dark skin.
- Nails.
"""


@pytest.fixture(scope="module")
def model():
    return open_model("isic")


def test_the_shipped_model_tells_all_that_the_page_shows(model):
    told = page_model(model.description, model.card())
    assert json.loads(json.dumps(told)) == told
    assert told["title"] == "UltraLBM-UNet"
    assert told["size"] == {"height": 256, "width": 256}
    assert told["mirror_axes"] == [0, 1]
    assert told["postprocessing"] == ["keep_largest_part", "fill_holes"]
    assert told["limits"]
    assert "ISIC 2017" in told["training"]
    assert "NC" in told["licences"]["weights"]


def test_scores_are_those_of_outlines_that_the_page_draws(model):
    told = page_model(model.description, model.card())["scores"]
    expected = [
        score
        for score in model.description.scores
        if (score.metric, score.protocol) == ("Dice", "mean over cases")
        and score.note.endswith("; mirrored; keep largest part; fill holes")
    ]
    assert expected
    assert [score["value"] for score in told] == [score.value for score in expected]
    assert {score["note"] for score in told} == {"the recipe was chosen by these images", "not seen in training"}
    plain = replace(model.description, postprocessing=(), mirror_axes=())
    values = [score["value"] for score in page_model(plain, "")["scores"]]
    assert values == [
        score.value
        for score in model.description.scores
        if (score.metric, score.protocol) == ("Dice", "mean over cases") and score.note.endswith("; not mirrored")
    ]


def test_the_card_is_told_without_lists_for_engineers(model):
    told = page_model(model.description, CARD)
    assert told["intended_use"] == "For teaching, and nothing else."
    assert told["training"] == "Seven images of one clinic."
    assert told["limits"] == ["Dark skin.", "Nails."]


def test_a_card_that_says_nothing_is_no_error(model):
    told = page_model(model.description, "# a-model\n\n## Limits\n\nNot stated.\n")
    assert (told["intended_use"], told["training"], told["limits"]) == ("", "", [])


def test_models_that_the_page_cannot_serve_are_refused(model):
    description = model.description
    conversion = description.conversion
    for other, told in (
        (replace(description, conversion=replace(conversion, size=None)), "sees windows of 256 x 256 pixels"),
        (replace(description, conversion=replace(conversion, size=(512, 512))), "sees windows of 256 x 256 pixels"),
        (
            replace(
                description,
                dataset_json={
                    **description.dataset_json,
                    "labels": {"background": 0, "lesion": 1, "hair": 2},
                    "regions_class_order": None,
                },
            ),
            "has the labels lesion, hair",
        ),
    ):
        with pytest.raises(ValueError, match=told) as caught:
            page_model(other, "")
        assert "use nnunet-mamba predict" in str(caught.value)
