"""Five hundred damaged pictures: each is refused in words, or its pixels are what they were."""

import random

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.image_files import ImageFileError, load_binary_mask, load_photograph

# A changed byte shows where a format has checksums; in the others it may be a picture like any other.
CHECKED_ENDINGS = (".png",)
ENDINGS = (".png", ".jpg", ".bmp", ".tif", ".webp")
N_EACH = 26


def truncated(content, chance):
    return content[: chance.randrange(1, len(content) * 9 // 10)]


def emptied(content, chance):
    return b""


def zeroed(content, chance):
    return bytes(len(content))


def garbled(content, chance):
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def saved(folder, ending):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    mask[6:18, 8:20] = 255
    Image.fromarray(picture).save(folder / f"picture{ending}")
    Image.fromarray(mask).save(folder / f"mask{ending}")
    return folder / f"picture{ending}", folder / f"mask{ending}"


@pytest.mark.parametrize("damage", [truncated, emptied, zeroed, garbled], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_pictures_are_refused_or_unchanged(tmp_path, ending, damage):
    picture, mask = saved(tmp_path, ending)
    loaders = ((picture, lambda path: np.asarray(load_photograph(path)[0])), (mask, load_binary_mask))
    chance = random.Random(f"{ending} {damage.__name__}")
    for path, load in loaders:
        content, pixels = path.read_bytes(), load(path)
        for _ in range(N_EACH // 2):
            path.write_bytes(damage(content, chance))
            try:
                found = load(path)
            except ImageFileError:
                continue
            # Pillow's BMP, TIFF and WebP tell of missing rows, JPEG of a missing end.
            assert damage is garbled, f"{path.name}, {damage.__name__}, was taken"
            if ending in CHECKED_ENDINGS:
                assert np.array_equal(found, pixels)


@pytest.mark.parametrize("ending", ENDINGS)
def test_wrong_ending_is_no_obstacle(tmp_path, ending):
    picture, _ = saved(tmp_path, ending)
    other = picture.with_name("other" + ENDINGS[ENDINGS.index(ending) - 1])
    picture.rename(other)

    assert load_photograph(other)[1] == (24, 32)


@pytest.mark.parametrize("content", [b"<html></html>", b"%PDF-1.7", b"PK\x03\x04", b"\xff\xd8\xff\xe0", b"BM"])
def test_other_files_with_the_ending_of_a_picture_are_refused(tmp_path, content):
    for ending in ENDINGS:
        (tmp_path / f"a{ending}").write_bytes(content)
        with pytest.raises(ImageFileError):
            load_photograph(tmp_path / f"a{ending}")
