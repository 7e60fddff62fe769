import os

import pytest

from nnunet_mamba.data.sources.filename_patterns import FilenamePattern
from nnunet_mamba.data.sources.pairing import pair_found_files


@pytest.fixture
def folder(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def found(folder, text):
    return [
        (file.path.relative_to(folder).as_posix(), file.case, file.group, file.channel)
        for file in FilenamePattern(text).find(folder)
    ]


@pytest.mark.parametrize(
    ("text", "name", "case", "group", "channel"),
    [
        ("{case}.jpg", "a.jpg", "a", None, None),
        ("{case}.jpg", "a.JPG", "a", None, None),
        ("{case}", "a b.c.png", "a b.c", None, None),
        ("{case}", "a.nii.gz", "a", None, None),
        ("{case}_mask", "a_Mask.BMP", "a", None, None),
        ("{case}_{channel}.nii.gz", "case_1_0002.nii.gz", "case_1", None, "0002"),
        ("{group}_{case}.tif", "TCGA_CS_4941_7.tif", "7", "TCGA_CS_4941", None),
        ("{group}/img{case}.png", "p1/img3.png", "3", "p1", None),
        ("{case}/{case}_Image/{case}.bmp", "IMD1/IMD1_Image/IMD1.bmp", "IMD1", None, None),
        ("**/{case}.png", "x/y/a.png", "a", None, None),
        ("**/{case}.png", "a.png", "a", None, None),
        ("*/{case}.png", "x/a.png", "a", None, None),
        ("a[1]+{case}.png", "a[1]+b.png", "b", None, None),
    ],
)
def test_pattern_reads_a_name(folder, text, name, case, group, channel):
    assert found(folder(name), text) == [(name, case, group, channel)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{case}.jpg", "a.png"),
        ("{case}.jpg", "x/a.jpg"),
        ("{case}.jpg", ".jpg"),
        ("{case}", "a.txt"),
        ("{case}", "a.nii.gz.txt"),
        ("{case}/{case}.png", "a/b.png"),
        ("*/{case}.png", "x/y/a.png"),
        ("a.{case}.png", "abc.png"),
        ("{case}.jpg", "._a.jpg"),
        ("**/{case}.jpg", ".hidden/a.jpg"),
    ],
)
def test_pattern_leaves_other_names(folder, text, name):
    assert found(folder(name), text) == []


def test_composed_and_decomposed_accents_are_the_same(folder):
    assert found(folder("le\u0301sion.png"), "l\u00e9{case}.png")[0][1] == "sion"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png", r"pattern 'a.png': expected \{case\} in it"),
        ("{patient}/{case}.png", r"\{patient\} is not known here; expected \{case\}, \{group\}, \{channel\}"),
        ("{case.png", "a brace without its partner"),
        ("{case}}.png", "a brace without its partner"),
        ("../{case}.png", "expected a path below the folder"),
        ("/data/{case}.png", "expected a path below the folder"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        FilenamePattern(text)


def test_channel_of_a_mask_is_refused():
    with pytest.raises(ValueError, match=r"\{channel\} is not known here"):
        FilenamePattern("{case}_{channel}.png", placeholders=("case", "group"))


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder"):
        FilenamePattern("{case}").find(tmp_path / "nowhere")


def test_folder_that_cannot_be_read_is_no_empty_folder(folder, monkeypatch):
    root = folder("x/a.png")
    list_folder = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("x"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        FilenamePattern("**/{case}").find(root)


def pair(folder, images, masks, **options):
    return pair_found_files(
        FilenamePattern(images).find(folder),
        FilenamePattern(masks).find(folder) if masks else [],
        **{"channels": None, "is_training": True, **options},
    )


def test_masks_beside_their_images_are_no_images(folder):
    cases, problems = pair(folder("a.png", "a_mask.png", "b.png", "b_mask.png"), "{case}.png", "{case}_mask.png")
    assert [(case.identifier, case.channels[0].name, case.mask.name, case.is_training) for case in cases] == [
        ("a", "a.png", "a_mask.png", True),
        ("b", "b.png", "b_mask.png", True),
    ]
    assert problems == []


def test_group_is_part_of_the_identifier_and_kept_for_splits(folder):
    root = folder("i/p1/1.png", "i/p2/1.png", "m/p1/1.png", "m/p2/1.png")
    cases, problems = pair(root, "i/{group}/{case}.png", "m/{group}/{case}.png")
    assert [(case.identifier, case.group, case.mask.parent.name) for case in cases] == [
        ("p1_1", "p1", "p1"),
        ("p2_1", "p2", "p2"),
    ]
    assert problems == []


def test_group_that_masks_do_not_tell_is_kept_for_splits_alone(folder):
    root = folder("i/p1/a.png", "i/p2/b.png", "m/a.png", "m/b.png")
    cases, _ = pair(root, "i/{group}/{case}.png", "m/{case}.png")
    assert [(case.identifier, case.group) for case in cases] == [("a", "p1"), ("b", "p2")]


def test_several_files_for_one_case_are_reported(folder):
    root = folder("i/p1/1.png", "i/p2/1.png", "m/1.png", "m/1.bmp")
    _, problems = pair(root, "**/i/*/{case}", "m/{case}")
    texts = [str(problem) for problem in problems]
    assert "2 images for one case" in texts[0]
    assert "2 masks for one case" in texts[1]
    assert all(f"{os.sep}1." in text for text in texts)


def test_several_masks_are_a_problem_of_the_case_as_its_image_is_called(folder):
    root = folder("i/P/IMG_3.png", "m/p/img_3.png", "m/p/img_3.bmp")
    cases, problems = pair(root, "i/{group}/{case}", "m/{group}/{case}")
    assert [problem.identifier for problem in problems] == [case.identifier for case in cases] == ["P_IMG_3"]


def test_names_that_differ_in_case_alone_are_one_case(folder):
    root = folder("i/a.png", "i/A.png", "m/a.png")
    if len(list((root / "i").iterdir())) == 1:
        pytest.skip("this file system holds both names to be the same")
    _, problems = pair(root, "i/{case}.png", "m/{case}.png")
    assert "2 images for one case" in str(problems[0])


def test_channels_come_in_the_order_of_the_user(folder):
    root = folder("a_t1.nii.gz", "a_flair.nii.gz", "a_t2.nii.gz", "a_seg.nii.gz")
    cases, problems = pair(root, "{case}_{channel}.nii.gz", "{case}_seg.nii.gz", channels=("t2", "flair"))
    assert [path.name for path in cases[0].channels] == ["a_t2.nii.gz", "a_flair.nii.gz"]
    assert problems == []


def test_missing_and_repeated_channels_are_reported(folder):
    root = folder("a_t1.nii", "b_t1.nii", "b_t2.nii", "b_t2.nii.gz", "a_seg.nii", "b_seg.nii")
    cases, problems = pair(root, "{case}_{channel}", "{case}_seg", channels=("t1", "t2"))
    texts = {problem.identifier: problem.text for problem in problems if "seg" not in problem.text}
    assert texts["a"].startswith("channel t2 is missing, there is a_t1.nii;")
    assert texts["b"].startswith("2 images for one case, expected one: ")
    assert [case.identifier for case in cases] == ["b"]


def test_missing_masks_and_images_are_reported_with_the_way_out(folder):
    root = folder("i/a.png", "i/b.png", "m/b.png", "m/c.png")
    cases, problems = pair(root, "i/{case}.png", "m/{case}.png")
    assert [(problem.identifier, problem.file.name) for problem in problems] == [("a", "a.png"), ("c", "c.png")]
    assert "`allow_missing_masks=True`" in problems[0].text
    assert "`allow_missing_images=True`" in problems[1].text
    assert [case.identifier for case in cases if case.is_training] == ["b"]
    allowed = {"allow_missing_masks": True, "allow_missing_images": True}
    assert pair(root, "i/{case}.png", "m/{case}.png", **allowed) == (cases, [])


def test_images_without_any_masks_are_test_cases(folder):
    cases, problems = pair(folder("a.png"), "{case}.png", None)
    assert [(case.identifier, case.mask, case.is_training) for case in cases] == [("a", None, False)]
    assert problems == []
