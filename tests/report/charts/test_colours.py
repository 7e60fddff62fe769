"""Colours are seen on the cards of light and dark pages, and told apart with any kind of colour vision."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

import nnunet_mamba.report
from nnunet_mamba.report.charts.colours import (
    DARK,
    DASHES,
    LIGHT,
    amount_colour,
    log_share,
    model_colour,
    model_dash,
    model_styles,
    printed_dash,
)

STYLE = (Path(nnunet_mamba.report.__path__[0]) / "page.css").read_text()
SCHEMES = dict(zip(("light", "dark"), STYLE.split("prefers-color-scheme"), strict=True))
# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
SHARES = np.linspace(0, 1, 101)


def linear(colour):
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Contrast ratio of WCAG 2.2."""
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour, vision):
    xyz = XYZ @ np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1) / XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def variable(scheme, name):
    return re.search(rf"--{name}: (#[0-9a-f]{{6}})", SCHEMES[scheme])[1]


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(("scheme", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_models_are_seen_on_the_card(scheme, colours):
    card = variable(scheme, "card")
    assert {colour: contrast(colour, card) for colour in colours if contrast(colour, card) < 3} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_amounts_are_seen_on_the_card(scheme):
    card = variable(scheme, "card")
    scale = [amount_colour(share, is_dark=scheme == "dark") for share in SHARES]
    assert min(contrast(colour, card) for colour in scale) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "soft", "accent", "first", "second", "third"])
def test_other_marks_are_seen_on_the_card(scheme, name):
    assert contrast(variable(scheme, name), variable(scheme, "card")) >= 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_models_are_told_apart(colours, vision):
    # CIELAB (1976), of which 2.3 is just noticed side by side.
    distances = [np.linalg.norm(lab(a, vision) - lab(b, vision)) for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 15


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("is_dark", [False, True])
def test_larger_amounts_are_lighter(is_dark, vision):
    lightness = [lab(amount_colour(share, is_dark=is_dark), vision)[0] for share in SHARES]
    assert (np.diff(lightness) > -0.3).all()
    assert lightness[-1] - lightness[0] > 25


def test_models_of_one_colour_differ_in_their_dashes():
    looks = [(model_colour(place), model_dash(place)) for place in range(len(LIGHT) * len(DASHES))]
    assert len(set(looks)) == len(looks)


def test_models_differ_in_their_dashes_on_paper_which_may_be_grey():
    looks = [printed_dash(place) for place in range(len(LIGHT))]
    assert len(set(looks)) == len(looks)
    several = [(model_colour(place), printed_dash(place)) for place in range(len(LIGHT) * len(DASHES))]
    assert len(set(several)) == len(several)


def test_a_legend_shows_the_dashes_of_each_model_on_paper():
    _, printed = model_styles(4).split("@media print")
    assert ".model-3 { --dash: 9 3 2 3; }" in printed
    assert "var(--model) 0px 9px, transparent 9px 12px, var(--model) 12px 14px, transparent 14px 17px" in printed
    assert "i.model-0" not in printed


def test_each_model_has_its_colour_in_both_schemes():
    light, dark = model_styles(7).split("@media screen and (prefers-color-scheme: dark)")
    assert f".model-6 {{ --model: {LIGHT[0]}; --dash: 7 3; }}" in light
    assert f".model-6 {{ --model: {DARK[0]}; }}" in dark


def test_what_is_no_amount_has_no_place_on_the_scale():
    assert log_share(10, [1, 100, math.inf]) == pytest.approx(0.5)
    assert all(math.isnan(log_share(value, [1, 100])) for value in (math.nan, math.inf, 0, -1))
    assert log_share(5, [5, 5]) == pytest.approx(0.5)
    # What differs by a hundredth does not look like least and most.
    shares = [log_share(value, [1.0, 1.01]) for value in (1.0, 1.01)]
    assert shares == pytest.approx([0.5, 0.5], abs=0.01)
