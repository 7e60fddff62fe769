from functools import partial

import nibabel as nib
import numpy as np
import pytest
from own_folders import convert, dataset_json, draw_folder, label
from PIL import Image

from nnunet_mamba.data.converters.folder import convert_folder, prepare_folder_images
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.sources.pattern_source import Source
from nnunet_mamba.data.writing.conversion_record import read_conversion_record
from nnunet_mamba.data.writing.run_options import RunOptions


@pytest.fixture
def draw(tmp_path):
    return partial(draw_folder, tmp_path / "source")


@pytest.fixture
def draw_volumes(tmp_path):
    def write(values=(0, 1, 2), cases=("p1", "p2"), channels=("flair", "t1")):
        root = tmp_path / "source"
        root.mkdir()
        for number, name in enumerate(cases):
            affine = np.diag([1, 2, 3 + number, 1])
            label = np.resize(np.array(values, np.uint8), (4, 5, 6))
            nib.save(nib.Nifti1Image(label, affine), root / f"{name}_seg.nii.gz")
            for channel in channels:
                noise = np.random.default_rng([number, len(channel)]).integers(0, 900, (4, 5, 6), dtype=np.int16)
                nib.save(nib.Nifti1Image(noise, affine), root / f"{name}_{channel}.nii.gz")
        return root

    return write


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "Dataset105_Folder"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_needs_no_options_for_a_folder_of_images_and_one_of_masks(draw, target):
    root = draw("images/{}.png", "masks/{}.png")
    done = convert(root, target)
    assert done.n_training == 3
    assert names(target / "imagesTr") == ["a_0000.png", "b_0000.png", "c_0000.png"]
    assert names(target / "labelsTr") == ["a.png", "b.png", "c.png"]
    assert np.array_equal(label(target), np.asarray(Image.open(root / "masks/a.png")) // 255)
    image = Image.open(target / "imagesTr" / "a_0000.png")
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(root / "images/a.png")))
    assert dataset_json(target) == {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "foreground": 1},
        "numTraining": 3,
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }


def test_two_folders_need_no_patterns(draw, target):
    root = draw("photos/{}.png", "drawings/{}.bmp")
    source = Source(images=root / "photos", masks=root / "drawings")
    assert convert_folder(source, target).n_training == 3


@pytest.mark.parametrize(
    ("images", "masks", "image_pattern", "mask_pattern"),
    [
        ("{}.jpg", "{}_mask.png", None, "{case}_mask.png"),
        ("{}.png", "{}_mask.png", "{case}.png", "{case}_mask.png"),
        ("x/y/{}.png", "x/y/{}_mask.png", "**/{case}.png", "**/{case}_mask.png"),
        ("img_{}.tif", "gt_{}.png", "img_{case}", "gt_{case}"),
        ("{0}/{0}.png", "{0}/{0}_L.png", "{case}/{case}.png", "{case}/{case}_L.png"),
    ],
)
def test_pattern_tells_the_layout(draw, target, images, masks, image_pattern, mask_pattern):
    root = draw(images, masks)
    done = convert(root, target, images=image_pattern, masks=mask_pattern)
    assert [case.identifier for case in done.cases] == ["a", "b", "c"]
    assert np.array_equal(label(target, "c"), np.asarray(Image.open(root / masks.format("c"))) // 255)


def test_group_is_kept_for_splits(draw, target):
    root = draw("{}/1.png", "{}/1_mask.png")
    done = convert(root, target, images="{group}/{case}.png", masks="{group}/{case}_mask.png")
    assert [(case.identifier, case.group) for case in done.cases] == [("a_1", "a"), ("b_1", "b"), ("c_1", "c")]


def test_grey_images_are_one_channel(draw, target):
    convert(draw("images/{}.png", "masks/{}.png", mode="L"), target)
    assert dataset_json(target)["channel_names"] == {"0": "grey"}
    assert Image.open(target / "imagesTr" / "a_0000.png").mode == "L"


def test_grey_images_stored_in_colour_are_one_channel_on_request(draw, target, tmp_path):
    root = draw("images/{}.png", "masks/{}.png", mode="L")
    for path in (root / "images").iterdir():
        Image.open(path).convert("RGB").save(path)
    convert(root, target)
    assert len(dataset_json(target)["channel_names"]) == 3
    convert(root, tmp_path / "grey", channel_names=("ultrasound",))
    assert dataset_json(tmp_path / "grey")["channel_names"] == {"0": "ultrasound"}
    image = np.asarray(Image.open(tmp_path / "grey" / "imagesTr" / "a_0000.png"))
    assert np.array_equal(image, np.asarray(Image.open(root / "images/a.png"))[..., 0])


def test_colour_among_grey_images_is_a_problem(draw, target):
    draw("images/{}.png", "masks/{}.png", cases="b")
    root = draw("images/{}.png", "masks/{}.png", cases="a", mode="L")
    with pytest.raises(InvalidDatasetError, match="b: a coloured picture among grey ones"):
        convert(root, target)


def test_size_applies_to_images_and_masks(draw, target):
    convert(draw("images/{}.png", "masks/{}.png"), target, size=(8, 10))
    assert Image.open(target / "imagesTr" / "a_0000.png").size == (10, 8)
    assert label(target).shape == (8, 10)


def test_test_part_goes_to_images_and_labels_ts(draw, target):
    draw("test/images/{}.png", "test/masks/{}.png", cases="d")
    root = draw("images/{}.png", "masks/{}.png")
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (5, 5, 3), np.uint8)).save(root / "test/images/e.png")
    options = FolderOptions(allow_missing_masks=True)
    done = convert_folder(Source(images=root), target, test=Source(images=root / "test"), options=options)
    assert (done.n_training, done.n_test, done.n_test_labels) == (3, 2, 1)
    assert names(target / "imagesTs") == ["d_0000.png", "e_0000.png"]
    assert names(target / "labelsTs") == ["d.png"]


@pytest.mark.parametrize("layout", ["flat", "images"])
def test_test_images_are_looked_for_as_those_of_training(draw, target, layout):
    root = draw("photos/{}.png", "drawings/{}.png")
    draw("test/{}.png" if layout == "flat" else "test/images/{}.png", "elsewhere/{}.png", cases="d")
    source = Source(images=root / "photos", masks=root / "drawings")
    options = FolderOptions(allow_missing_masks=True)
    done = convert_folder(source, target, test=source.for_test(root / "test", None), options=options)
    assert (done.n_training, done.n_test, done.n_test_labels) == (3, 1, 0)
    assert source.for_test(root / "a", root / "b") == Source(images=root / "a", masks=root / "b")


def test_case_in_both_parts_is_a_problem(draw, target):
    draw("test/images/{}.png", "test/masks/{}.png", cases="xa")
    root = draw("images/{}.png", "masks/{}.png")
    with pytest.raises(InvalidDatasetError, match="test/a: a test image, and a training image too"):
        convert_folder(Source(images=root), target, test=Source(images=root / "test"))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({}, r"no file in .* fits the pattern of the images; there is a.png, a_m.png, b.png, b_m.png, c.png"),
        ({"image_pattern": "{case}", "mask_pattern": "{case}_seg"}, r"fits the pattern of the masks; .*`mask_pattern`"),
        ({"image_pattern": "{case}.png", "mask_pattern": "{case}.png"}, r"images and masks are both '\{case\}.png'"),
        ({"image_pattern": "{case}.png", "mask_pattern": "b_{case}.png"}, "no image and no mask belong together"),
        ({"image_pattern": "{case}.png", "mask_pattern": "{case}_{channel}.png"}, r"\{channel\} is not known here"),
    ],
)
def test_patterns_that_find_nothing_are_explained(draw, target, source, text):
    root = draw("{}.png", "{}_m.png")
    with pytest.raises(ValueError, match=text):
        convert_folder(Source(images=root, **source), target)


def test_volumes_of_several_channels(draw_volumes, target):
    root = draw_volumes()
    mapping = LabelValues.of({"oedema": 2, "tumour": 1})
    convert(root, target, images="{case}_{channel}", masks="{case}_seg", labels=mapping)
    assert names(target / "imagesTr") == [f"{name}_000{n}.nii.gz" for name in ("p1", "p2") for n in (0, 1)]
    assert dataset_json(target) == {
        "channel_names": {"0": "flair", "1": "t1"},
        "labels": {"background": 0, "oedema": 1, "tumour": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    source = np.asanyarray(nib.load(root / "p2_seg.nii.gz").dataobj)
    written = nib.load(target / "labelsTr" / "p2.nii.gz")
    assert np.array_equal(np.asanyarray(written.dataobj), np.array([0, 2, 1])[source])
    assert written.header.get_zooms() == (1, 2, 4)


def test_channels_are_chosen_ordered_and_named_by_the_user(draw_volumes, target):
    root = draw_volumes(values=(0, 1), channels=("flair", "t1", "t1ce"))
    names_ = ("t1ce=T1 with contrast", "flair")
    convert(root, target, images="{case}_{channel}", masks="{case}_seg", channel_names=names_)
    assert dataset_json(target)["channel_names"] == {"0": "T1 with contrast", "1": "flair"}
    assert read_conversion_record(target).channel_tokens == ("t1ce", "flair")
    for number, channel in enumerate(("t1ce", "flair")):
        source = nib.load(root / f"p1_{channel}.nii.gz").get_fdata()
        assert np.array_equal(nib.load(target / "imagesTr" / f"p1_000{number}.nii.gz").get_fdata(), source)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": (8, 8)}, "`size` is for pictures"),
        ({"channel_names": ("a", "b", "c")}, r"channel names a, b, c: expected 1 .*put \{channel\}"),
        ({"labels": LabelValues.of({"a": "#ff0000"})}, "volumes have no colours"),
    ],
)
def test_options_that_volumes_do_not_have_are_refused(draw_volumes, target, options, text):
    root = draw_volumes(values=(0, 1), channels=("ct",))
    with pytest.raises(ValueError, match=text):
        convert(root, target, images="{case}_ct", masks="{case}_seg", **options)


def test_pictures_and_volumes_do_not_mix(draw, draw_volumes, target):
    root = draw_volumes(values=(0, 1), channels=("ct",))
    draw("{}_ct.png", "{}_seg.png")
    with pytest.raises(ValueError, match="pictures and volumes together"):
        convert(root, target, images="{case}_ct", masks="{case}_seg")


@pytest.mark.parametrize("kind", ["colour", "two grey channels", "volumes"])
def test_passes_nnunets_own_integrity_check(draw, draw_volumes, target, verify_integrity, kind):
    if kind == "volumes":
        labels = LabelValues.of({"a": 1, "b": 2})
        convert(draw_volumes(), target, images="{case}_{channel}", masks="{case}_seg", labels=labels)
    elif kind == "colour":
        convert(draw("images/{}.png", "masks/{}.png"), target)
    else:
        draw("{}_t1.png", "{}_m.bmp", mode="L")
        root = draw("{}_flair.png", "{}_m.bmp", cases="abc", mode="L")
        convert(root, target, images="{case}_{channel}.png", masks="{case}_m")
        assert names(target / "imagesTr")[:2] == ["a_0000.png", "a_0001.png"]
    verify_integrity(target)


def test_images_only_prepares_images_as_for_training(draw, draw_volumes, target, tmp_path):
    root = draw_volumes()
    labels = LabelValues.of({"a": 1, "b": 2})
    convert(root, target, images="{case}_{channel}", masks="{case}_seg", labels=labels)
    source = Source(images=root, image_pattern="{case}_{channel}")
    options = FolderOptions(channel_names=("flair", "t1"))
    done = prepare_folder_images(source, tmp_path / "out", options=options)
    assert done.n_test == 2
    for path in (target / "imagesTr").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_invalid_cases_are_left_out_on_request(draw, target):
    root = draw("images/{}.png", "masks/{}.png")
    (root / "images/a.png").write_bytes(b"")
    (root / "masks/b.png").unlink()
    done = convert(root, target, run=RunOptions(skip_invalid=True))
    assert [case.identifier for case in done.cases] == ["c"]
    assert sorted(done.skipped) == ["a", "b"]


def test_second_run_finds_the_data_set_complete_and_refuses_another_mapping(draw, target):
    root = draw("images/{}.png", "masks/{}.png")
    assert convert(root, target).n_written == 3
    assert convert(root, target).n_written == 0
    with pytest.raises(FileExistsError, match="source_labels: the folder has"):
        convert(root, target, labels=LabelValues.of({"lesion": 255}))
