"""The figures on the page about scoring are what the code says of the masks that the page describes."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.evaluation.distances.conventions import CONVENTIONS, DistanceMeasure
from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.evaluation.paper_protocols import BATCHES, PER_CASE, SYNAPSE, Batches, protocol_scores

PAGE = (Path(__file__).parents[1] / "docs/explanation/scoring.md").read_text(encoding="utf-8")
SIDE = 100
# For each image: what it shows, then the sides of the box in the reference and in the prediction.
IMAGES = {
    "a": ("a large lesion, found 4 pixels too low", ((10, 70), (10, 70)), ((14, 74), (10, 70))),
    "b": ("a lesion without its last 4 rows", ((20, 60), (30, 70)), ((20, 56), (30, 70))),
    "c": ("a small lesion, found 8 pixels beside", ((40, 60), (40, 60)), ((40, 60), (48, 68))),
    "d": ("a tiny lesion, missed", ((45, 55), (45, 55)), None),
    "e": ("no lesion, a false alarm", None, ((80, 90), (80, 90))),
    "f": ("no lesion, none predicted", None, None),
}


def mask(sides):
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    if sides is not None:
        pixels[slice(*sides[0]), slice(*sides[1])] = 255
    return pixels


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The evaluation of the page's masks in each convention."""
    folder = tmp_path_factory.mktemp("masks")
    for name, (_, *pair) in IMAGES.items():
        for kind, sides in zip(("references", "predictions"), pair, strict=True):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(mask(sides)).save(folder / kind / f"{name}.png")
    folders = folder / "predictions", folder / "references"
    return {
        convention: evaluate_folders(*folders, processes=1, distances=DistanceMeasure(convention=convention))
        for convention in CONVENTIONS
    }


def number(value, digits):
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def in_page(rows):
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert table in PAGE, f"put these rows into docs/explanation/scoring.md:\n{table}"


def test_the_table_of_images_is_what_the_code_says(scored):
    surface, medpy = (scored[convention] for convention in CONVENTIONS)
    rows = []
    for case in surface.cases:
        dice, iou = case.confusions["foreground"].dice, case.confusions["foreground"].iou
        here, there = (done.distances.by_case[case.identifier]["foreground"] for done in (surface, medpy))
        lengths = [number(value, 2) for value in (here.hd95, here.assd)]
        scores = [number(dice, 3), number(iou, 3), *lengths, number(here.nsd, 3), number(there.hd95, 2)]
        rows.append([case.identifier, IMAGES[case.identifier][0], *scores])
    in_page(rows)


def test_the_table_of_protocols_is_what_the_code_says(scored):
    surface, medpy = (scored[convention] for convention in CONVENTIONS)
    rows = []
    for row in protocol_scores(surface.cases, distances=surface.distances, batches=Batches(size=2)):
        names, shown = [row.protocol], row
        if row.protocol == SYNAPSE:
            found = protocol_scores(medpy.cases, distances=medpy.distances)
            (shown,) = (each for each in found if each.protocol == SYNAPSE)
        if row.protocol == BATCHES:
            names = [f"{row.protocol}, batches of 2"]
        rows.append([*names, number(shown.dice, 3), number(shown.iou, 3), number(shown.hd95, 2)])
        if row.protocol == BATCHES:
            (other,) = (
                each for each in protocol_scores(surface.cases, batches=Batches(size=3)) if each.protocol == BATCHES
            )
            rows.append([f"{BATCHES}, batches of 3", number(other.dice, 3), number(other.iou, 3), "–"])
    assert rows[0][0] == PER_CASE
    in_page(rows)
