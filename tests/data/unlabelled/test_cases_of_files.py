from pathlib import Path

import pytest

from nnunet_mamba.data.unlabelled.cases_of_files import cases_of_files
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.named_files import NamedFile

LABELS = {"background": 0, "lesion": 1}
PHOTOGRAPHS = ImageConversion(kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels=LABELS)


def volumes(*tokens, names=None, **options):
    names = names or tokens or ("image",)
    return ImageConversion(kind=ImageKind.VOLUMES, channel_names=names, channel_tokens=tokens, labels=LABELS, **options)


def made(conversion, *names, is_named=False):
    """Make cases of files in a folder that the user has named, or of files that the user has named."""
    files = [NamedFile(Path("/data", name), () if is_named else Path(name).parts[:-1], is_named) for name in names]
    return cases_of_files(files, conversion)


def channels(found):
    """The files of every image by its identifier."""
    return {case.identifier: [path.relative_to("/data").as_posix() for path in case.channels] for case in found.cases}


def masks(found):
    return {case.identifier: case.masks for case in found.cases}


def test_a_photograph_is_a_case_in_its_subfolder():
    found = made(PHOTOGRAPHS, "a.jpg", "deep/er/b.c.PNG", "IMG_0000.jpg", "x_0000.png")
    assert masks(found) == {
        "a": ("a.png",),
        "deep/er/b.c": ("deep/er/b.c.png",),
        "IMG_0000": ("IMG_0000.png",),
        "x_0000": ("x_0000.png",),
    }


def test_a_file_that_is_named_gives_its_stem():
    assert masks(made(PHOTOGRAPHS, "deep/a.jpg", is_named=True)) == {"a": ("a.png",)}


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("a.nii.gz", "a.nii.gz"),
        ("a.NII.GZ", "a.nii.gz"),
        ("a.nii", "a.nii"),
        ("a.mha", "a.mha"),
        ("a.mhd", "a.mha"),
        ("a.nrrd", "a.nrrd"),
        ("a.nhdr", "a.nrrd"),
        ("a.hdr", "a.nii.gz"),
    ],
)
def test_a_volume_keeps_its_format_as_far_as_that_is_one_file(name, mask):
    assert masks(made(volumes(), name)) == {"a": (mask,)}


def test_a_data_set_made_by_hand_has_nnunets_names_or_plain_ones():
    photographs = ImageConversion(
        kind=ImageKind.PHOTOGRAPHS,
        channel_names=("R", "G", "B"),
        channel_tokens=("0000",),
        labels=LABELS,
        is_by_hand=True,
    )
    found = made(photographs, "a_0000.png", "b.png", "IMG_0000.jpg")
    assert channels(found) == {"a": ["a_0000.png"], "b": ["b.png"], "IMG_0000": ["IMG_0000.jpg"]}
    found = made(volumes("0000", is_by_hand=True), "a_0000.nii.gz", "b.nii.gz")
    assert masks(found) == {"a": ("a.nii.gz",), "b": ("b.nii.gz",)}


def test_the_only_channel_may_be_missing_in_names_where_no_file_has_it():
    assert channels(made(volumes("ct"), "a.nii", "b.nii")) == {"a": ["a.nii"], "b": ["b.nii"]}
    found = made(volumes("flair"), "a_flair.nii", "a_t1.nii")
    assert channels(found) == {"a": ["a_flair.nii"]}
    assert [file.path.name for file in found.unused] == ["a_t1.nii"]


@pytest.mark.parametrize(
    ("names", "identifier"),
    [
        (("a_flair.nii", "a_t1.nii"), "a"),
        (("deep/a-FLAIR.nii.gz", "deep/a-T1.nii.gz"), "deep/a"),
        (("p1/flair.nii", "p1/t1.nii"), "p1"),
        (("flair/a.nii", "t1/a.nii"), "a"),
        (("deep/flair/a.nii", "deep/t1/a.nii"), "deep/a"),
        (("a_0000.nii", "a_0001.nii"), "a"),
    ],
)
def test_channels_are_told_by_names_and_folders(names, identifier):
    conversion = volumes("flair", "t1", names=("FLAIR", "T1 native"))
    for order in (names, names[::-1]):
        found = made(conversion, *order)
        assert channels(found) == {identifier: list(names)}
        assert not found.problems
        assert not found.unused


def test_channels_that_the_user_has_named_file_by_file_are_told_too():
    conversion = volumes("flair", "t1")
    assert list(channels(made(conversion, "x/a_flair.nii", "x/a_t1.nii", is_named=True))) == ["a"]
    assert list(channels(made(conversion, "p1/flair.nii", "p1/t1.nii", is_named=True))) == ["p1"]
    assert list(channels(made(conversion, "flair/a.nii", "t1/a.nii", is_named=True))) == ["a"]


def test_files_of_one_name_in_two_folders_are_two_images():
    found = made(volumes("flair", "t1"), "x/a_flair.nii", "y/a_t1.nii", is_named=True)
    assert not found.cases
    assert [problem.text for problem in found.problems] == [
        "channel t1 is missing, there is a_flair.nii; add it",
        "channel flair is missing, there is a_t1.nii; add it",
    ]


def test_the_longest_token_counts():
    found = made(volumes("t1", "c_t1"), "a_c_t1.nii", "a_t1.nii")
    assert channels(found) == {"a": ["a_t1.nii", "a_c_t1.nii"]}


def test_a_missing_channel_costs_its_image_alone():
    found = made(volumes("flair", "t1"), "a_flair.nii", "a_t1.nii", "b_t1.nii", "c.nii")
    assert list(channels(found)) == ["a"]
    (problem,) = found.problems
    assert (problem.identifier, problem.file) == ("b", Path("/data/b_t1.nii"))
    assert problem.text == "channel flair is missing, there is b_t1.nii; add it"
    assert [file.path.name for file in found.unused] == ["c.nii"]


def test_two_files_for_one_channel_are_a_problem():
    found = made(volumes("flair", "t1"), "a_flair.nii", "a_t1.nii", "a_t1.nii.gz")
    (problem,) = found.problems
    assert "2 files for channel t1, expected one: /data/a_t1.nii, /data/a_t1.nii.gz" in problem.text


SCAN = "TCGA_CS_4941_19960909"
SCANS = ImageConversion(
    kind=ImageKind.LGG_VOLUMES, channel_names=("a", "b", "c"), labels=LABELS, spacing=(5.0, 1.0, 1.0)
)


def test_the_slices_of_a_folder_are_a_scan_in_the_order_of_their_numbers():
    slices = [f"{SCAN}/{SCAN}_{number}.tif" for number in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)]
    found = made(SCANS, *slices, "other/x_1.tif")
    assert channels(found) == {SCAN: slices[::-1], "other": ["other/x_1.tif"]}
    assert masks(found)[SCAN] == tuple(name.replace(".tif", ".png") for name in slices[::-1])


def test_slices_that_are_named_keep_their_names():
    found = made(SCANS, f"{SCAN}/{SCAN}_1.tif", f"{SCAN}/{SCAN}_2.tif", is_named=True)
    assert masks(found) == {SCAN: (f"{SCAN}_1.png", f"{SCAN}_2.png")}


def test_slices_of_any_patient_are_taken_and_each_is_a_case():
    conversion = ImageConversion(kind=ImageKind.LGG_SLICES, channel_names=("a", "b", "c"), labels=LABELS)
    found = made(conversion, "p/x_1.tif", "p/x_3.tif")
    assert masks(found) == {"p/x_1": ("p/x_1.png",), "p/x_3": ("p/x_3.png",)}


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("p/x_1.tif", "p/x_3.tif"), "slice 2 is missing"),
        (("p/x_1.tif", "p/x_01.tif"), "2 images for slice 1, expected one"),
        (("p/x_1.tif", "p/x_2.tif", "p/y_3.tif"), "is it of another scan"),
        (("p/x.tif",), "no number of a slice in its name"),
    ],
)
def test_a_scan_whose_slices_are_not_all_there_is_a_problem(names, text):
    found = made(SCANS, *names, "q/z_1.tif")
    assert list(channels(found)) == ["q"]
    assert any(text in problem.text for problem in found.problems)


def test_transunets_slices_are_volumes():
    conversion = ImageConversion(
        kind=ImageKind.TRANSUNET_VOLUMES, channel_names=("CT",), labels=LABELS, spacing=(3.0, 1.0, 1.0)
    )
    names = ["train_npz/case0005_slice001.npz", "train_npz/case0005_slice000.npz", "test_vol_h5/case0001.npy.h5"]
    found = made(conversion, *names, "train_npz/case0007_slice001.npz", "other.npz")
    assert channels(found) == {"train_npz/case0005": names[1::-1], "test_vol_h5/case0001": [names[2]]}
    assert masks(found)["test_vol_h5/case0001"] == ("test_vol_h5/case0001.nii.gz",)
    assert "1 of 2 slices missing (000)" in found.problems[0].text
    assert [file.path.name for file in found.unused] == ["other.npz"]
