import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from nnunet_mamba.overlays.label_overlay import draw_overlay, write_overlay
from nnunet_mamba.overlays.strokes import COLOURS

FIRST, SECOND = (list(ImageColor.getrgb(colour)) for colour in COLOURS[:2])


def photograph(height=300, width=400):
    return np.full((height, width, 3), (205, 160, 140), np.uint8)


def disc(height=300, width=400):
    y, x = np.indices((height, width))
    return ((y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2).astype(np.uint8)


def count(overlay, colour):
    return int((np.asarray(overlay).astype(int) == colour).all(axis=-1).sum())


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (3000, 4000, (2048, 1536)),
        (4000, 3000, (1536, 2048)),
        (600, 800, (800, 600)),
        (256, 256, (512, 512)),
        (224, 200, (600, 672)),
        (1, 9, (513, 57)),
    ],
)
def test_large_pictures_are_drawn_smaller_and_small_ones_larger(height, width, size):
    assert draw_overlay(photograph(height, width), disc(height, width), labels={"lesion": 1}).size == size


@pytest.mark.parametrize("long_side", [224, 1000, 4000])
def test_a_line_is_seen_in_a_thumbnail(long_side):
    height = long_side * 3 // 4
    overlay = draw_overlay(photograph(height, long_side), disc(height, long_side), labels={"lesion": 1})
    overlay.thumbnail((256, 256))
    distances = np.abs(np.asarray(overlay).astype(int) - (205, 160, 140)).sum(axis=-1)
    # Nothing of the skin but the line: a closed circle of 2 pi 48 pixels.
    assert np.count_nonzero(distances > 60) > 250


def test_one_label_has_no_legend_and_several_have():
    picture, label_map = photograph(600, 800), disc(600, 800)
    assert draw_overlay(picture, label_map, labels={"background": 0, "lesion": 1}).size == (800, 600)
    both = draw_overlay(picture, label_map, labels={"background": 0, "lesion": 1, "hair": 2})
    assert both.height > 600
    assert count(both, FIRST) > 100
    assert count(both, SECOND) == 0


def test_labels_keep_their_colours_whatever_was_found():
    label_map = 2 * disc()
    overlay = draw_overlay(photograph(), label_map, labels={"lesion": 1, "hair": 2})
    assert count(overlay, FIRST) == 0
    assert count(overlay, SECOND) > 100


def test_a_region_is_outlined_around_its_labels():
    label_map = disc()
    label_map[:, 200:] *= 2
    overlay = draw_overlay(photograph(), label_map, labels={"whole": [1, 2]})
    middle = np.asarray(overlay)[overlay.height // 2].astype(int)
    columns = np.flatnonzero((middle == FIRST).all(axis=-1))
    assert len(columns)
    assert (np.abs(columns / overlay.width - 0.5) > 0.15).all()


def test_what_is_not_there_is_written_on_the_picture(monkeypatch):
    written = []
    monkeypatch.setattr(
        "nnunet_mamba.overlays.label_overlay.write_caption", lambda *args, **options: written.append(args[1])
    )
    empty = np.zeros((300, 400), np.uint8)
    draw_overlay(photograph(), empty, labels={"background": 0, "lesion": 1})
    draw_overlay(photograph(), empty, labels={"lesion": 1, "hair": 2})
    draw_overlay(photograph(), disc(), labels={"lesion": 1})
    assert written == ["no lesion found", "nothing found"]


def test_a_grey_picture_is_shown_in_its_window():
    picture = np.linspace(-1000, 1000, 600 * 600).reshape(600, 600).astype(np.int16)
    overlay = np.asarray(draw_overlay(picture, np.zeros((600, 600), np.uint8), labels={"x": 1}, window=(-100, 100)))
    assert overlay[100, 300].tolist() == [0, 0, 0]
    assert 120 < overlay[300, 300, 0] < 136
    assert overlay[500, 300].tolist() == [255, 255, 255]


def test_a_spacing_keeps_shapes_as_they_are():
    overlay = draw_overlay(np.zeros((400, 600), np.uint8), disc(400, 600), labels={"x": 1}, spacing=(1.0, 0.5))
    assert overlay.size == (600, 800)


def test_a_volume_is_shown_in_slices_with_their_numbers(monkeypatch):
    written = []
    monkeypatch.setattr(
        "nnunet_mamba.overlays.label_overlay.write_caption", lambda *args, **options: written.append(args[1])
    )
    volume, label_map = np.zeros((30, 64, 64), np.float32), np.zeros((30, 64, 64), np.uint8)
    label_map[10:25, 20:40, 20:40] = 1
    overlay = draw_overlay(volume, label_map, labels={"tumour": 1}, spacing=(5.0, 1.0, 1.0))
    assert overlay.width == overlay.height
    assert max(overlay.size) <= 2048
    indices = [int(text.removeprefix("z ")) for text in written]
    assert len(indices) in (8, 9)
    assert set(indices) <= set(range(10, 25))
    written.clear()
    draw_overlay(volume, label_map, labels={"tumour": 1}, slice_axis=2)
    assert all(text.startswith("x ") for text in written)


def test_a_volume_without_labels_shows_its_middle():
    overlay = draw_overlay(np.zeros((9, 600, 600), np.int16), np.zeros((9, 600, 600), np.uint8), labels={"tumour": 1})
    assert overlay.size == (600, 600)
    assert np.asarray(overlay).max() > 200


@pytest.mark.parametrize(
    ("picture", "label_map"),
    [
        (np.zeros((5, 6)), np.zeros((6, 5), np.uint8)),
        (np.zeros((5, 6, 3)), np.zeros((5, 6), np.uint8)),
        (np.zeros((5, 6, 4), np.uint8), np.zeros((5, 6), np.uint8)),
        (np.zeros((2, 5, 6, 3), np.uint8), np.zeros((2, 5, 6), np.uint8)),
        (np.zeros(5), np.zeros(5, np.uint8)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(picture, label_map):
    with pytest.raises(ValueError, match="give the image that the label map belongs to"):
        draw_overlay(picture, label_map, labels={"x": 1})


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, float("nan"))])
def test_spacings_that_do_not_fit_are_refused(spacing):
    with pytest.raises(ValueError, match=r"the spacing is .*, expected 2 numbers above 0"):
        draw_overlay(np.zeros((5, 6)), np.zeros((5, 6), np.uint8), labels={"x": 1}, spacing=spacing)


@pytest.mark.parametrize("name", ["a.jpg", "b.PNG", "new/c.jpeg"])
def test_a_file_is_written_whole(tmp_path, name):
    write_overlay(draw_overlay(photograph(), disc(), labels={"lesion": 1}), tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.size == (800, 600)
        assert image.format == ("PNG" if name.lower().endswith("png") else "JPEG")
    assert [path.name for path in (tmp_path / name).parent.iterdir() if path.is_file()] == [Path(name).name]


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.tif ends in '\.tif', expected \.jpg or \.png"):
        write_overlay(Image.new("RGB", (5, 5)), tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


def test_drawing_starts_without_heavy_packages():
    script = (
        "import sys, nnunet_mamba.overlays.label_overlay, nnunet_mamba.measurements.statistics_table as _\n"
        "print(*sorted(set(sys.modules) & {'torch', 'nnunetv2', 'matplotlib', 'scipy', 'skimage', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.real_data
@pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set")
def test_a_real_photograph_of_many_megapixels():
    folder = Path(os.environ["NNUNET_MAMBA_REAL_DATA"])
    for path in sorted((folder / "ISIC-2017_Test_v2_Data").glob("*.jpg")):
        mask = folder / "ISIC-2017_Test_v2_Part1_GroundTruth" / f"{path.stem}_segmentation.png"
        with Image.open(path) as image, Image.open(mask) as label:
            picture, label_map = np.asarray(image), (np.asarray(label) > 127).astype(np.uint8)
        overlay = draw_overlay(picture, label_map, labels={"lesion": 1})
        assert max(overlay.size) == 2048
        assert count(overlay, FIRST) > 5000
