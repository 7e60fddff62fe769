import logging

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.sources.copies import stem_of, without_copies
from nnunet_mamba.data.sources.filename_patterns import FoundFile


def picture(seed=0, shape=(60, 80)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disc = (rows - 30) ** 2 + (columns - 40 - seed) ** 2 < 200
    return Image.fromarray(disc.astype(np.uint8) * 255)


@pytest.fixture
def kept(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="nnunet_mamba")

    def kept(**pictures):
        files = []
        for name, image in pictures.items():
            stem, _, ending = name.rpartition("_")
            path = tmp_path / f"{stem}.{ending}"
            image.save(path)
            files.append(FoundFile(path=path, case=stem))
        return [found.path.name for found in without_copies(files, "mask")], caplog.messages

    return kept


@pytest.mark.parametrize("original", ["bmp", "png", "tif"])
@pytest.mark.parametrize("copy", ["jpg", "gif"])
def test_the_file_without_losses_is_taken_and_said(kept, original, copy):
    names, notes = kept(**{f"a_{original}": picture(), f"a_{copy}": picture(), f"b_{original}": picture(3)})
    assert names == [f"a.{original}", f"b.{original}"]
    assert notes == [f"1 .{copy} mask is a copy of a .{original} file of the same name, which is taken"]


def test_a_bit_map_and_its_grey_copy_are_alike(kept):
    names, _ = kept(a_bmp=picture().convert("1"), a_jpg=picture(), b_bmp=picture(5).convert("1"), b_jpg=picture(5))
    assert names == ["a.bmp", "b.bmp"]


def test_files_without_losses_that_are_equal_count_once(kept):
    assert kept(a_bmp=picture(), a_png=picture().convert("RGB"))[0] == ["a.bmp"]


@pytest.mark.parametrize(
    "pictures",
    [
        # An image and its mask, of one name in one folder.
        {"a_jpg": Image.fromarray(np.full((60, 80, 3), 150, np.uint8)), "a_png": picture()},
        {"a_bmp": picture(), "a_png": picture(2)},
        {"a_bmp": picture(), "a_jpg": picture().resize((40, 30))},
        {"a_jpg": picture(), "a_gif": picture()},
        {"a_webp": picture(), "a_png": picture()},
    ],
)
def test_files_that_may_not_be_copies_all_stay(kept, pictures):
    names, notes = kept(**pictures)
    assert len(names) == 2
    assert notes == []


def test_damaged_files_all_stay(kept, tmp_path):
    kept(a_png=picture())
    (tmp_path / "a.jpg").write_bytes(b"no image")
    files = [FoundFile(path=tmp_path / name, case="a") for name in ("a.png", "a.jpg")]
    assert without_copies(files, "mask") == files


def test_stem_is_without_both_endings_of_a_packed_volume(tmp_path):
    assert stem_of(tmp_path / "a.b.nii.gz") == "a.b"
    assert stem_of(tmp_path / "a.b.PNG") == "a.b"
