import numpy as np
import pytest

from nnunet_mamba.data.converters.mask_hints import border_share, mask_hints
from nnunet_mamba.data.problems import CaseCheck


def masks(*pairs):
    return {f"c{number}": CaseCheck(foreground=share, border=border) for number, (share, border) in enumerate(pairs)}


def test_the_border_is_the_outermost_frame():
    frame = np.ones((6, 8), np.uint8)
    frame[1:-1, 1:-1] = 0
    assert border_share(frame) == 1
    assert border_share(1 - frame) == 0
    half = np.zeros((10, 10), np.uint8)
    half[:5] = 1
    assert border_share(half) == pytest.approx(0.5)


def test_a_volumes_border_is_that_of_its_slices():
    volume = np.zeros((3, 6, 8), np.uint8)
    volume[0] = 1
    assert border_share(volume) == pytest.approx(1 / 3)


def test_usual_masks_are_not_worth_a_word():
    assert mask_hints(masks((0.1, 0), (0.3, 0.1), (0.89, 0.9), (0, 0))) == []
    assert mask_hints({"a": CaseCheck()}) == []


def test_a_data_set_of_mostly_foreground_may_be_inverted():
    (hint,) = mask_hints(masks((0.9, 0.5), (0.8, 1), (0.7, 1), (0.95, 1), (0.2, 0)))
    assert hint.startswith("the masks of 4 cases (c0, c1, c2, c3), of 5, are mostly foreground (84% on average)")
    assert "may be inverted" in hint
    assert 'a file with {"background": 255, "lesion": 0}, or 1 instead of 255 for masks of 0 and 1' in hint


def test_single_masks_that_fill_the_whole_border_are_named():
    (hint,) = mask_hints(masks((0.9, 1), *[(0.1, 0)] * 9))
    assert "the masks of 1 case (c0), of 10, are mostly foreground and reach every border" in hint
    # What would exchange the labels of all masks would spoil the others.
    assert hint.endswith("invert these masks alone")


def test_several_labels_may_fill_a_picture():
    assert mask_hints({"a": CaseCheck(foreground=1.0, border=None)}) == []


def test_rounded_values_are_counted():
    found = {"a": CaseCheck(n_rounded=3), "b": CaseCheck(), "c": CaseCheck(n_rounded=4)}
    (hint,) = mask_hints(found)
    assert "the masks of 2 cases (a, c) hold 7 values that miss a whole number by 0.001 at most" in hint
