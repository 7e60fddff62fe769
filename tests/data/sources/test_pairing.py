import logging
from pathlib import Path

import pytest

from nnunet_mamba.data.sources.filename_patterns import FilenamePattern
from nnunet_mamba.data.sources.pairing import list_images, pair_found_files, pair_images_with_masks


def test_lists_images_only(tmp_path):
    for name in ("b.JPG", "a.png", "._a.png", ".hidden.png", "notes.txt", "a_superpixels.png", "Thumbs.db"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path, ignored_suffixes=("_superpixels",))] == ["a.png", "b.JPG"]
    assert len(list_images(tmp_path)) == 3


def test_keeps_broken_links_so_that_they_are_reported(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert len(list_images(tmp_path)) == 1


def test_refuses_what_is_not_a_folder(tmp_path):
    with pytest.raises(NotADirectoryError, match="missing is not a folder"):
        list_images(tmp_path / "missing")


def pair(images, masks, **options):
    return pair_images_with_masks(
        [Path(name) for name in images],
        [Path(name) for name in masks],
        mask_suffix="_segmentation",
        is_training=True,
        **options,
    )


def test_pairs_by_name_with_or_without_suffix():
    cases, problems = pair(["a.jpg", "b.jpg", "c.jpg"], ["c.png", "b_Segmentation.png", "a_segmentation.png"])
    assert problems == []
    assert [(case.identifier, str(case.mask)) for case in cases] == [
        ("a", "a_segmentation.png"),
        ("b", "b_Segmentation.png"),
        ("c", "c.png"),
    ]


def test_number_with_other_padding_is_another_case():
    _, problems = pair(["ISIC_1.jpg"], ["ISIC_01_segmentation.png"])
    assert [problem.identifier for problem in problems] == ["ISIC_1", "ISIC_01"]


def test_identifiers_that_differ_in_case_only_are_a_problem():
    _, problems = pair(["a.jpg", "A.jpg"], ["a.png"])
    assert "2 images for one case" in str(problems[0])


def test_images_without_any_masks_are_test_cases():
    cases, problems = pair(["a.jpg"], [])
    assert problems == []
    assert not cases[0].is_training


def test_several_masks_are_a_problem_of_the_case_as_its_image_is_called():
    cases, problems = pair(["IMG_3.png"], ["img_3.png", "img_3_segmentation.bmp"])
    assert [problem.identifier for problem in problems] == [case.identifier for case in cases] == ["IMG_3"]
    _, problems = pair(["a.png"], ["img_3.png", "img_3.bmp"], allow_missing_images=True)
    assert "img_3" in [problem.identifier for problem in problems]


def test_images_in_subfolders_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="nnunet_mamba")
    (tmp_path / "deeper").mkdir()
    for name in ("a.png", "deeper/b.png", "deeper/c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.png"]
    assert caplog.messages == [
        f"1 images in subfolders of {tmp_path} are not taken, such as {tmp_path / 'deeper/b.png'}"
    ]


@pytest.fixture
def pair_in(tmp_path):
    def pair_in(*names, images, masks, **options):
        for name in names:
            (tmp_path / name).touch()
        found = [FilenamePattern(text).find(tmp_path) for text in (images, masks)]
        return pair_found_files(*found, channels=None, is_training=True, **options)

    return pair_in


@pytest.mark.parametrize("other", ["a_mask_1", "a_mask2", "a_mask (3)", "a_mask-04"])
def test_numbered_mask_that_no_pattern_takes_is_a_problem_of_its_image(pair_in, other):
    cases, problems = pair_in(
        "a.png", "a_mask.png", "b.png", "b_mask.png", f"{other}.png", images="{case}.png", masks="{case}_mask.png"
    )
    assert [case.identifier for case in cases] == ["a", "b"]
    assert [problem.identifier for problem in problems] == ["a"]
    assert f"{other}.png lies beside its mask and is not used" in problems[0].text


def test_what_only_looks_like_a_further_mask_is_none(pair_in):
    # Its number belongs to an image of its own, it has another mark, or it is an image without a mask.
    names = ("a.jpg", "a.png", "a_1.jpg", "a_1.png", "a_2.jpg", "a_overlay.png", "a10.jpg", "a10.png")
    _, problems = pair_in(*names, images="{case}.jpg", masks="{case}.png", allow_missing_masks=True)
    assert [problem.identifier for problem in problems] == ["a_overlay"]
    assert "no image for this mask" in problems[0].text


def test_image_with_a_number_stays_an_image_where_masks_have_no_mark(pair_in):
    names = ("a.jpg", "a.png", "a_1.jpg")
    cases, problems = pair_in(*names, images="{case}.jpg", masks="{case}.png", allow_missing_masks=True)
    assert [(case.identifier, case.is_training) for case in cases] == [("a", True), ("a_1", False)]
    assert problems == []
