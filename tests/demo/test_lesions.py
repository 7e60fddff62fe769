import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from nnunet_mamba.demo.lesions import draw_photograph, write_isic_folder


@pytest.fixture(scope="module")
def photographs():
    return [draw_photograph(seed=2024, number=number) for number in range(1, 31)]


def dice(first, second):
    return 2 * np.sum(first & second) / (np.sum(first) + np.sum(second))


def grey(photograph):
    return np.asarray(Image.fromarray(photograph.image).convert("L"))


def test_same_seed_and_number_draw_the_same_pixels(photographs):
    again = draw_photograph(seed=2024, number=7)
    np.testing.assert_array_equal(again.image, photographs[6].image)
    np.testing.assert_array_equal(again.mask, photographs[6].mask)


@pytest.mark.parametrize("other", [{"seed": 2025, "number": 7}, {"seed": 2024, "number": 8}])
def test_another_seed_or_number_draws_another_lesion(photographs, other):
    assert np.mean(draw_photograph(**other).mask != photographs[6].mask) > 0.01


def test_every_photograph_holds_a_lesion_and_skin(photographs):
    for photograph in photographs:
        assert photograph.image.shape == (*photograph.mask.shape, 3)
        assert photograph.image.dtype == np.uint8
        assert 0.01 < photograph.mask.mean() < 0.6


def test_mask_follows_the_drawn_border(photographs):
    # Just inside the border of the mask the skin is darker than just outside: shifted masks lose that contrast.
    def contrast(photograph, shift):
        mask = np.roll(photograph.mask, shift, axis=1)
        near = maximum_filter(mask, 13) & ~minimum_filter(mask, 13)
        brightness = grey(photograph).astype(float)
        return brightness[near & ~mask].mean() - brightness[near & mask].mean()

    in_place = np.array([contrast(photograph, 0) for photograph in photographs])
    shifted = np.array([contrast(photograph, 25) for photograph in photographs])
    assert in_place.min() > 3
    assert np.mean(in_place > shifted) > 0.9


def test_no_global_threshold_solves_the_task(photographs):
    greys = [grey(photograph) for photograph in photographs]
    fixed = max(
        np.mean([dice(image < level, photograph.mask) for image, photograph in zip(greys, photographs, strict=True)])
        for level in range(20, 240, 5)
    )
    own = np.mean(
        [
            max(dice(image < level, photograph.mask) for level in range(20, 240, 5))
            for image, photograph in zip(greys, photographs, strict=True)
        ]
    )
    assert fixed < 0.85
    # Not even with the best level of each photograph, chosen by looking at its mask.
    assert own < 0.85


def test_writes_the_layout_of_isic(tmp_path):
    images, masks = write_isic_folder(tmp_path / "part", n_cases=2, seed=3, first=9, progress=False)
    assert sorted(path.name for path in images.iterdir()) == ["ISIC_0000009.jpg", "ISIC_0000010.jpg"]
    assert sorted(path.name for path in masks.iterdir()) == [
        "ISIC_0000009_segmentation.png",
        "ISIC_0000010_segmentation.png",
    ]
    drawn = draw_photograph(seed=3, number=9)
    with Image.open(masks / "ISIC_0000009_segmentation.png") as opened:
        label = np.asarray(opened)
    assert set(np.unique(label)) == {0, 255}
    np.testing.assert_array_equal(label > 127, drawn.mask)
    with Image.open(images / "ISIC_0000009.jpg") as opened:
        assert opened.mode == "RGB"
        assert np.abs(np.asarray(opened, float) - drawn.image).mean() < 5


def test_refuses_shapes_without_room_for_a_lesion():
    with pytest.raises(ValueError, match="32 x 32"):
        draw_photograph(seed=0, number=0, shape=(16, 64))


def test_refuses_to_write_no_case(tmp_path):
    with pytest.raises(ValueError, match="n_cases is 0"):
        write_isic_folder(tmp_path, n_cases=0, seed=0)
