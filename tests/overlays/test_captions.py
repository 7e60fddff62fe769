import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.overlays.captions import add_legend, write_caption
from nnunet_mamba.overlays.strokes import Pen

FOUND = {"spleen": Pen("#ff0000", 0.0), "liver": Pen("#00ff00", 5.0)}


def picture(width=600, height=400, colour="grey"):
    return Image.new("RGB", (width, height), colour)


@pytest.mark.parametrize("at_top", [True, False])
@pytest.mark.parametrize("paper", ["black", "white"])
def test_a_caption_stands_in_its_corner_on_any_picture(at_top, paper):
    page = picture(colour=paper)
    write_caption(page, "no lesion found", at_top=at_top)
    rows, columns = np.nonzero(np.asarray(page.convert("L")) != (0 if paper == "black" else 255))
    assert columns.min() < 30
    assert rows.max() < 60 if at_top else rows.min() > 340


def test_a_legend_stands_below_and_leaves_the_picture_as_it_is():
    page = np.asarray(add_legend(picture(), FOUND, []))
    assert page.shape[1] == 600
    assert page.shape[0] > 400
    assert (page[:400] == 128).all()
    below = page[400:].astype(int)
    for pen in ([255, 0, 0], [0, 255, 0]):
        assert (below == pen).all(axis=-1).any()


def test_what_was_not_found_is_told_without_a_colour():
    with_words = np.asarray(add_legend(picture(), FOUND, ["kidney", "aorta"]))
    without = np.asarray(add_legend(picture(), FOUND, []))
    assert with_words.shape[0] > without.shape[0]
    last_row = with_words[without.shape[0] :].astype(int)
    assert np.ptp(last_row, axis=-1).max() == 0
    assert last_row.max() > 100


def test_a_legend_has_as_many_rows_as_it_needs():
    names = [f"label number {index}" for index in range(20)]
    many = add_legend(picture(), dict.fromkeys(names, FOUND["liver"]), names)
    assert many.width == 600
    assert many.height > 700
    rightmost = np.asarray(many)[400:, -10:]
    assert (rightmost == rightmost[0, 0]).all()
