from pathlib import Path

import pytest

from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.mask_places import (
    files_that_are_folders,
    overlaps,
    overwritten_images,
    without_clashes,
    without_repeats,
)
from nnunet_mamba.data.unlabelled.named_files import NamedFile, named_place


def case(identifier, source, *masks):
    return UnlabelledCase(identifier=identifier, channels=(Path(source),), masks=masks or (f"{identifier}.png",))


def test_images_that_would_write_one_mask_are_both_named_and_left_out():
    cases = [case("a", "x/a.jpg"), case("a", "y/a.png"), case("b", "x/b.jpg")]
    left, (problem,) = without_clashes(cases)
    assert left == cases[2:]
    assert "x/a.jpg and y/a.png would both write the mask a.png; rename one" in problem.text


@pytest.mark.parametrize("name", ["A", "a\u0301", "\u00e1"])
def test_names_that_a_file_system_may_hold_to_be_one_clash(name):
    other = {"A": "a", "a\u0301": "\u00e1", "\u00e1": "a\u0301"}[name]
    assert without_clashes([case(name, "x"), case(other, "y")])[0] == []


def test_one_name_in_two_formats_clashes_since_overlays_have_one():
    cases = [case("a", "a.nii.gz", "a.nii.gz"), case("a", "a.mha", "a.mha")]
    assert len(without_clashes(cases)[1]) == 1
    assert len(without_clashes([case("a.png", "a.png.jpg"), case("a", "a.jpg")])[0]) == 2


def test_a_file_that_is_named_twice_is_one_image(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    files = [
        NamedFile(tmp_path / "images" / "a.png"),
        NamedFile(tmp_path / "link" / "a.png", is_named=True),
        NamedFile(tmp_path / "link" / "a.png", ("link",)),
    ]
    assert without_repeats(files) == [files[0], files[2]]


@pytest.mark.parametrize(("output", "where"), [(".", "is"), ("out", "lies in"), ("deep/out", "lies in")])
def test_an_output_among_the_images_is_told(tmp_path, output, where):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "images")
    for name in ("images", "link"):
        (problem,) = overlaps(named_place(str(tmp_path / name)), tmp_path / "images" / output)
        assert f"{where} this folder of images, and the next run would predict its masks" in problem.text
    assert overlaps(named_place(str(tmp_path / "images")), tmp_path / "images_out") == []
    assert overlaps(named_place(str(tmp_path / "images")), tmp_path) == []


def masks(*cases):
    return [(mask, case) for case in cases for mask in case.masks]


@pytest.mark.parametrize("folder", ["a.png", "A.PNG"])
def test_an_image_beside_a_folder_that_is_called_as_its_mask_is_told(tmp_path, folder):
    cases = [case("a", "x/a.jpg"), case(f"{folder}/b", f"x/{folder}/b.jpg"), case(f"{folder}/c", f"x/{folder}/c.jpg")]
    (problem,) = files_that_are_folders(masks(*cases), tmp_path)
    assert f"x/a.jpg and x/{folder}/b.jpg would write the mask {folder} and the mask {folder}/b.png" in problem.text
    assert files_that_are_folders(masks(*cases[1:]), tmp_path) == []


def test_what_an_earlier_run_has_left_in_the_way_is_told(tmp_path):
    (tmp_path / "a.png").mkdir()
    (tmp_path / "deep").touch()
    found = files_that_are_folders(masks(case("a", "a.jpg"), case("deep/er/b", "b.jpg"), case("c", "c.jpg")), tmp_path)
    assert [problem.text for problem in found] == [
        f"{tmp_path}/deep is a file, expected a folder for the mask deep/er/b.png; move it away, or choose another "
        "`output`",
        f"{tmp_path}/a.png is a folder, expected a place for the mask; move it away, or choose another `output`",
    ]


def test_a_mask_that_would_replace_an_image_is_told(tmp_path):
    (tmp_path / "a.png").touch()
    (problem,) = overwritten_images([case("a", tmp_path / "a.png"), case("b", tmp_path / "b.jpg")], tmp_path)
    assert f"its mask would replace the image {tmp_path}/a.png; choose another" in problem.text
    assert overwritten_images([case("a", tmp_path / "a.png")], tmp_path / "out") == []
