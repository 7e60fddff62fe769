import builtins
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from data_sets import SCANS, isic, lgg, noise, save_picture
from PIL import Image

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.image_search import find_images
from nnunet_mamba.data.unlabelled.named_files import unpacked_archives

LABELS = {"background": 0, "lesion": 1}
PHOTOGRAPHS = ImageConversion(kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels=LABELS)
CT = ImageConversion(kind=ImageKind.CT_VOLUMES, channel_names=("CT",), labels=LABELS)
TWO_CHANNELS = ImageConversion(
    kind=ImageKind.VOLUMES, channel_names=("flair", "t1"), channel_tokens=("flair", "t1"), labels=LABELS
)


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.fixture
def images(tmp_path):
    return touch(tmp_path / "images", "b.jpg", "deep/c.png", "a.jpg")


@pytest.fixture
def find(tmp_path):
    def run(*paths, conversion=PHOTOGRAPHS, output=None, **options):
        return find_images(paths, conversion, output=output or tmp_path / "out", **options)

    return run


def identifiers(found):
    return [case.identifier for case in found.cases]


def texts(problems):
    return [str(problem) for problem in problems]


def test_files_folders_and_patterns_are_found_in_any_mix(images, tmp_path, find):
    touch(tmp_path / "other", "x.bmp", "deep/y.webp")
    found = find(images, str(tmp_path / "other" / "*.bmp"), tmp_path / "other" / "deep" / "y.webp")
    assert identifiers(found) == ["a", "b", "deep/c", "x", "y"]
    assert (found.refusals, found.problems, found.notes, found.n_images) == ((), (), (), 5)


def test_what_is_named_twice_is_predicted_once(images, find):
    assert identifiers(find(images, images, f"{images}/*.jpg", images / "a.jpg")) == ["a", "b", "deep/c"]


def test_archives_are_folders_while_they_are_unpacked(images, tmp_path, find):
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as packed:
        packed.writestr("more/deep/d.jpg", b"1")
        packed.writestr("more/d.txt", b"2")
        packed.writestr("more/e.heic", b"2")
    with unpacked_archives([images, tmp_path / "more.zip"], output=tmp_path / "out") as paths:
        found = find(*paths)
        assert identifiers(found) == ["a", "b", "deep/c", "deep/d"]
        assert found.cases[-1].channels[0].read_bytes() == b"1"
    # Messages name the archive, since its folder is gone by then.
    assert str(tmp_path / "more.zip") in found.notes[0]
    assert found.problems[0].file == tmp_path / "more.zip" / "more" / "e.heic"
    (problem,) = find(tmp_path / "more.zip").problems
    assert "an archive, which is not unpacked here" in problem.text


def test_masks_beside_photographs_are_left_out_and_told(images, find):
    touch(images, "a_segmentation.png", "a_superpixels.png", "masks/b.png")
    found = find(images)
    assert identifiers(found) == ["a", "b", "deep/c"]
    assert found.notes == (f"masks by their names: 3 files left out, such as {images}/a_segmentation.png",)
    named = sorted(str(path) for path in images.glob("*.*"))
    assert identifiers(find(*named)) == ["a", "b"]


def test_other_files_are_left_out_and_told(images, find):
    touch(images, "LICENSE.txt", "table.csv", "a.heic", "scan.nii.gz")
    found = find(images)
    assert identifiers(found) == ["a", "b", "deep/c"]
    assert found.problems == ()
    assert [note.split(": ")[0] for note in found.notes] == ["no images", f"no {PHOTOGRAPHS.kind.in_words}"]
    assert identifiers(find(images / "LICENSE.txt", images / "a.jpg")) == ["a"]


def test_an_image_that_would_be_missing_for_its_format_is_a_problem(images, find):
    touch(images, "d.heic", "e.heic", "a.heic")
    found = find(images)
    (problem,) = found.problems
    assert f"{images}/d.heic: 2 .heic files, which cannot be read here; save them as photographs (.jpg" in str(problem)
    assert identifiers(found) == ["a", "b", "deep/c"]


@pytest.mark.parametrize(
    ("name", "conversion", "text"),
    [
        ("scan.nii.gz", PHOTOGRAPHS, "a volume; this model was made for photographs (.jpg"),
        ("photo.jpg", CT, "a picture; this model was made for CT volumes (.nii.gz"),
        ("scan.dcm", CT, "a .dcm file, which cannot be read here; this model was made for CT volumes"),
    ],
)
def test_a_named_file_of_another_kind_is_a_problem(tmp_path, find, name, conversion, text):
    touch(tmp_path, name)
    found = find(tmp_path / name, conversion=conversion)
    (problem,) = found.problems
    assert problem.text.startswith(text)
    assert problem.file == tmp_path / name
    assert found.cases == found.refusals == ()


@pytest.mark.parametrize(
    ("names", "conversion", "text"),
    [
        ((), PHOTOGRAPHS, "no image that this model can read: it is empty; expected photographs (.jpg"),
        (("a.nii.gz", "b.nii.gz", "x.txt", "LICENSE"), PHOTOGRAPHS, "there is 2 .nii.gz, 1 without ending, 1 .txt"),
        (("a.jpg",), CT, "there is 1 .jpg; expected CT volumes"),
        (("a_segmentation.png", "x.csv"), PHOTOGRAPHS, "1 .png, 1 .csv, 1 of them masks by their names"),
        (("a.nii", "b.nii"), TWO_CHANNELS, "2 files, such as a.nii; expected one for each channel, such as CASE_flair"),
    ],
)
def test_a_folder_with_nothing_to_read_is_told(tmp_path, find, names, conversion, text):
    (tmp_path / "images").mkdir()
    touch(tmp_path / "images", *names)
    found = find(tmp_path / "images", conversion=conversion)
    (refusal,) = found.refusals
    assert text in refusal.text
    assert str(tmp_path / "images") in str(refusal)
    assert not found.cases


def test_named_files_with_nothing_to_read_are_told(tmp_path, find):
    touch(tmp_path, "a_segmentation.png", "b.txt")
    (refusal,) = find(tmp_path / "a_segmentation.png", tmp_path / "b.txt").refusals
    assert "there is 1 .png, 1 .txt; expected photographs" in refusal.text


def test_all_that_is_wrong_is_told_at_once(images, find):
    touch(images, "a.png")
    found = find(images, "nowhere", f"{images}/*.bmp", output=images / "masks")
    told = texts(found.refusals)
    assert len(told) == 4
    assert told[0] == "nowhere: nothing of this name is there; correct the path"
    assert "no file fits this pattern" in told[1]
    assert "lies in this folder of images" in told[2]
    assert f"{images}/a.jpg and {images}/a.png would both write the mask a.png" in told[3]
    assert identifiers(found) == ["b", "deep/c"]


def test_a_mask_never_replaces_its_image(tmp_path, find):
    touch(tmp_path, "a.png", "b.jpg")
    (refusal,) = find(tmp_path / "a.png", tmp_path / "b.jpg", output=tmp_path).refusals
    assert f"its mask would replace the image {tmp_path}/a.png" in refusal.text


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7, 30])
def test_shares_are_disjoint_and_complete(tmp_path, find, n_parts):
    touch(tmp_path / "images", *(f"{number}.jpg" for number in range(10)), *(f"{name}.jp2" for name in "abc"))
    touch(tmp_path / "images" / "x", "a.dng", "b.arw")
    shares = [find(tmp_path / "images", part=(number, n_parts)) for number in range(1, n_parts + 1)]
    names = sorted(name for share in shares for name in identifiers(share))
    assert names == [str(number) for number in range(10)]
    assert all(share.n_images == 10 for share in shares)
    assert len({len(share.cases) for share in shares}) <= 2, "shares are equal but for one"
    whole = find(tmp_path / "images")
    assert sorted(texts(one for share in shares for one in share.problems)) == sorted(texts(whole.problems))
    assert len(whole.problems) == 3


@pytest.mark.parametrize("part", [(0, 3), (4, 3), (1, 0), (-1, 2)])
def test_what_is_no_share_is_refused(images, find, part):
    with pytest.raises(ValueError, match=f"share {part[0]}/{part[1]}: expected K/N"):
        find(images, part=part)


def test_shares_do_not_depend_on_the_order_of_names(images, find):
    names = sorted(str(path) for path in images.rglob("*.*g"))
    one, other = (find(*order, part=(1, 2)) for order in (names, names[::-1]))
    assert identifiers(one) == identifiers(other) == ["a", "c"]


def test_no_image_is_opened(images, find, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError(arguments)

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    assert identifiers(find(images)) == ["a", "b", "deep/c"]


def test_what_finds_and_reads_photographs_brings_no_heavy_package(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg", noise(0, (20, 30, 3)))
    script = f"""
import sys
from pathlib import Path
import numpy as np
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.data.unlabelled.image_reading import read_image
from nnunet_mamba.data.unlabelled.image_search import find_images
from nnunet_mamba.data.unlabelled.mask_writing import write_masks
from nnunet_mamba.data.unlabelled.named_files import unpacked_archives
conversion = ImageConversion.from_json({PHOTOGRAPHS.to_json()!r})
output = Path({str(tmp_path / "out")!r})
with unpacked_archives([{str(tmp_path / "images")!r}], output=output) as paths:
    (case,) = find_images(paths, conversion, output=output).cases
image = read_image(case, conversion)
write_masks(np.ones(image.channels.shape[1:], np.uint8), case, image, conversion=conversion, output=output)
heavy = ("torch", "nnunetv2", "scipy", "skimage", "SimpleITK", "nibabel", "pandas", "matplotlib", "tqdm", "zipfile")
print([name for name in (*heavy, "multiprocessing") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "out" / "a.png").is_file()


def test_a_tree_of_slices_that_is_there_twice_is_predicted_once(tmp_path, find):
    conversion = lgg(tmp_path / "data").conversion
    archive = tmp_path / "archive"
    for tree in ("kaggle_3m", "lgg-mri-segmentation/kaggle_3m"):
        for scan, n_slices in SCANS.items():
            touch(archive / tree / scan, *(f"{scan}_{number}.tif" for number in range(1, n_slices + 1)))
    found = find(archive, conversion=conversion)
    assert identifiers(found) == [f"kaggle_3m/{scan}" for scan in SCANS]
    assert "a second copy of the same tree of folders: 14 files left out" in found.notes[0]
    first = next(iter(SCANS))
    (archive / "lgg-mri-segmentation" / "kaggle_3m" / first / f"{first}_1.tif").write_bytes(b"other")
    (refusal,) = find(archive, conversion=conversion).refusals
    assert f"that differ in {first}/{first}_1.tif; name one of them" in refusal.text


def test_a_data_set_of_the_isic_challenge_is_found_with_its_masks_left_out(tmp_path, find):
    data_set = isic(tmp_path / "data")
    found = find(data_set.source, conversion=data_set.conversion)
    assert identifiers(found) == ["ISIC_1", "ISIC_2", "deep/ISIC_3"]
