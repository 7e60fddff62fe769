import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.converters import image_cases
from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic, prepare_isic_images
from nnunet_mamba.data.formats.image_files import write_png
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE
from nnunet_mamba.data.writing.run_options import RunOptions

IDENTIFIERS = ["ISIC_0000001", "ISIC_0000002", "ISIC_0000003"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def written_identifiers(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.iterdir())


@pytest.fixture
def part(tmp_path, draw_part):
    draw_part(tmp_path / "images", tmp_path / "masks")
    return tmp_path / "images", tmp_path / "masks"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "Dataset101_ISIC"


@pytest.mark.parametrize(
    ("images", "masks", "suffix"),
    [
        ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth", "_Segmentation"),
        ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth", "_segmentation"),
        ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth", "_segmentation"),
        ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth", "_segmentation"),
        ("images", "masks", "_Segmentation"),
        ("images", "masks", ""),
    ],
)
@pytest.mark.parametrize("named", ["both folders", "the folder above"])
def test_knows_the_layout(draw_part, tmp_path, target, images, masks, suffix, named):
    source = tmp_path / "source"
    draw_part(source / images, source / masks, suffix=suffix)
    if named == "both folders":
        convert_isic(source / images, source / masks, target)
    else:
        convert_isic(source, None, target)
    assert written_identifiers(target / "imagesTr") == [f"{name}_0000" for name in IDENTIFIERS]
    assert written_identifiers(target / "labelsTr") == IDENTIFIERS


def test_takes_masks_that_lie_beside_their_images(draw_part, tmp_path, target):
    draw_part(tmp_path / "all", tmp_path / "all")
    done = convert_isic(tmp_path / "all", None, target)
    assert (done.n_training, done.n_test) == (3, 0)


def test_ignores_superpixels_texts_and_hidden_files(part, target):
    images, masks = part
    Image.new("RGB", (40, 30)).save(images / "ISIC_0000001_superpixels.png")
    (images / "ATTRIBUTION.txt").write_text("x")
    (images / "ISIC-2017_Training_Data_metadata.csv").write_text("x")
    (images / "._ISIC_0000001.jpg").write_bytes(b"Mac OS X")
    (masks / "LICENSE").write_text("x")
    (masks / "._ISIC_0000001_segmentation.png").write_bytes(b"Mac OS X")
    assert convert_isic(images, masks, target).n_training == 3


def test_ignores_ground_truth_of_other_tasks(draw_part, tmp_path, target):
    draw_part(tmp_path / "ISIC2018_Task1-2_Training_Input", tmp_path / "ISIC2018_Task1_Training_GroundTruth")
    draw_part(tmp_path / "elsewhere", tmp_path / "ISIC2018_Task2_Training_GroundTruth_v3", suffix="_attribute_globules")
    draw_part(tmp_path / "elsewhere", tmp_path / "ISIC2018_Task2_Training_GroundTruth", suffix="_attribute_globules")
    # Task 3 has photographs of its own.
    draw_part(tmp_path / "ISIC2018_Task3_Training_Input", tmp_path / "ISIC2018_Task3_Training_GroundTruth")
    assert convert_isic(tmp_path, None, target).n_training == 3


def test_writes_what_nnunet_expects(part, target):
    convert_isic(*part, target, options=IsicOptions(size=(64, 48)))
    image = np.asarray(Image.open(target / "imagesTr" / "ISIC_0000001_0000.png"))
    label = np.asarray(Image.open(target / "labelsTr" / "ISIC_0000001.png"))
    assert image.shape == (64, 48, 3)
    assert image.dtype == np.uint8
    assert label.shape == (64, 48)
    assert np.unique(label).tolist() == [0, 1]
    assert image[label == 1].mean() < 100 < image[label == 0].mean()
    assert json.loads((target / "dataset.json").read_text()) == {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 3,
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }


def test_resizes_to_256_by_default_and_keeps_the_original_size_on_request(part, target, tmp_path):
    convert_isic(*part, target)
    convert_isic(*part, tmp_path / "original", options=IsicOptions(size=None))
    assert Image.open(target / "imagesTr" / "ISIC_0000001_0000.png").size == (256, 256)
    assert Image.open(tmp_path / "original" / "imagesTr" / "ISIC_0000001_0000.png").size == (40, 30)
    label = np.asarray(Image.open(tmp_path / "original" / "labelsTr" / "ISIC_0000001.png"))
    source = np.asarray(Image.open(part[1] / "ISIC_0000001_segmentation.png"))
    assert np.array_equal(label, source // 255)


def test_passes_nnunets_own_integrity_check(part, target, verify_integrity):
    convert_isic(*part, target)
    verify_integrity(target)
    (target / "labelsTr" / "ISIC_0000002.png").unlink()
    with pytest.raises(AssertionError):
        verify_integrity(target)


def test_sigmoid_gives_one_output_in_nnunets_label_manager(part, target):
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    convert_isic(*part, target, options=IsicOptions(sigmoid=True))
    dataset = json.loads((target / "dataset.json").read_text())
    labels = LabelManager(dataset["labels"], dataset["regions_class_order"])
    assert labels.has_regions
    assert labels.num_segmentation_heads == 1
    logits = np.where(np.arange(4).reshape(1, 1, 2, 2) > 1, 5.0, -5.0).astype(np.float32)
    assert labels.convert_logits_to_segmentation(logits).ravel().tolist() == [0, 0, 1, 1]


def test_test_part_goes_to_images_and_labels_ts(draw_part, part, target, tmp_path):
    draw_part(tmp_path / "test", tmp_path / "test_masks", ["ISIC_0000008", "ISIC_0000009"])
    done = convert_isic(*part, target, test_images=tmp_path / "test", test_masks=tmp_path / "test_masks")
    assert (done.n_training, done.n_test, done.n_test_labels) == (3, 2, 2)
    assert written_identifiers(target / "imagesTs") == ["ISIC_0000008_0000", "ISIC_0000009_0000"]
    assert written_identifiers(target / "labelsTs") == ["ISIC_0000008", "ISIC_0000009"]
    assert json.loads((target / "dataset.json").read_text())["numTraining"] == 3


def test_test_part_needs_no_masks(draw_part, part, target, tmp_path):
    draw_part(tmp_path / "test", None, ["ISIC_0000009"])
    done = convert_isic(*part, target, test_images=tmp_path / "test")
    assert (done.n_test, done.n_test_labels) == (1, 0)
    assert not (target / "labelsTs").exists()


def test_validation_part_joins_the_training_cases(draw_part, part, target, tmp_path):
    draw_part(tmp_path / "val", tmp_path / "val_masks", ["ISIC_0000008", "ISIC_0000009"])

    done = convert_isic(*part, target, validation_images=tmp_path / "val", validation_masks=tmp_path / "val_masks")

    assert (done.n_training, done.n_test) == (5, 0)
    folds = json.loads((target / "splits_final.json").read_text())
    assert len(folds) == 5
    assert sorted(name for fold in folds for name in fold["val"]) == written_identifiers(target / "labelsTr")


def test_the_challenges_split_validates_with_its_validation_part(draw_part, part, target, tmp_path):
    draw_part(tmp_path / "val", tmp_path / "val_masks", ["ISIC_0000008", "ISIC_0000009"])
    options = IsicOptions(run=RunOptions(split="challenge"))
    given = {"validation_images": tmp_path / "val", "validation_masks": tmp_path / "val_masks"}
    for _ in range(2):
        # The second finds everything there.
        convert_isic(*part, target, **given, options=options)
        (fold,) = json.loads((target / "splits_final.json").read_text())
        assert fold["val"] == ["ISIC_0000008", "ISIC_0000009"]
        assert sorted(fold["train"] + fold["val"]) == written_identifiers(target / "labelsTr")


def test_papers_split_of_another_number_of_cases_is_refused_with_both(part, target):
    options = IsicOptions(run=RunOptions(split="isic17-1500-650"))

    with pytest.raises(ValueError, match=r"2150[\s\S]*\b3\b|\b3\b[\s\S]*2150"):
        convert_isic(*part, target, options=options)

    assert not target.exists()


def test_refuses_an_image_in_both_parts(draw_part, part, target, tmp_path):
    draw_part(tmp_path / "test", None, ["ISIC_0000003", "ISIC_0000009"])
    with pytest.raises(InvalidDatasetError, match=r"1 problem found[\s\S]*test/ISIC_0000003: a test image, and a"):
        convert_isic(*part, target, test_images=tmp_path / "test")


def test_missing_mask_is_refused_or_sent_to_images_ts(part, target):
    (part[1] / "ISIC_0000002_segmentation.png").unlink()
    with pytest.raises(InvalidDatasetError, match=r"ISIC_0000002: no mask .*`allow_missing_masks=True`"):
        convert_isic(*part, target)
    assert not target.exists()
    convert_isic(*part, target, options=IsicOptions(allow_missing_masks=True))
    assert written_identifiers(target / "imagesTs") == ["ISIC_0000002_0000"]
    assert written_identifiers(target / "labelsTr") == ["ISIC_0000001", "ISIC_0000003"]


def test_missing_image_is_refused_or_left_out(part, target):
    (part[0] / "ISIC_0000002.jpg").unlink()
    with pytest.raises(InvalidDatasetError, match=r"ISIC_0000002: no image for this mask"):
        convert_isic(*part, target)
    done = convert_isic(*part, target, options=IsicOptions(allow_missing_images=True))
    assert done.n_training == 2


def test_shows_all_problems_together_and_writes_nothing(draw_part, tmp_path, target):
    images, masks = tmp_path / "images", tmp_path / "masks"
    draw_part(images, masks, [f"ISIC_{number}" for number in range(10)])
    (masks / "ISIC_0_segmentation.png").unlink()
    (images / "ISIC_1.jpg").write_bytes((images / "ISIC_1.jpg").read_bytes()[:600])
    (images / "ISIC_2.jpg").write_bytes(b"")
    Image.new("L", (41, 30), 255).save(masks / "ISIC_3_segmentation.png")
    Image.new("L", (40, 30), 0).save(masks / "ISIC_4_segmentation.png")
    Image.new("L", (40, 30), 255).save(masks / "ISIC_5.png")
    Image.open(images / "ISIC_5.jpg").rotate(180).resize((80, 60)).save(images / "ISIC_6.png")
    (images / "ISIC_7.jpg").unlink()
    (masks / "ISIC_8_segmentation.png").write_text("not an image")
    with pytest.raises(InvalidDatasetError) as caught:
        convert_isic(images, masks, target)
    text = str(caught.value)
    for line in (
        "ISIC_0: no mask",
        "ISIC_1: unreadable: ",
        "ISIC_2: the file is empty (0 bytes)",
        "ISIC_3: the mask has 41x30 pixels, its image 40x30",
        "ISIC_4: empty mask",
        "ISIC_5: 2 masks for one case",
        "ISIC_6: 2 images for one case",
        "ISIC_7: no image for this mask",
        "ISIC_8: not an image",
    ):
        assert line in text
    assert len(caught.value.problems) == 9
    assert not target.exists()


@pytest.mark.parametrize("missing", ["images", "masks"])
def test_empty_folder_is_named(part, target, missing, tmp_path):
    folder = part[0] if missing == "images" else part[1]
    for file in folder.iterdir():
        file.unlink()
    (folder / "readme.txt").write_text("x")
    with pytest.raises(ValueError, match=f"no (photographs|masks) in .*{missing}"):
        convert_isic(*part, target)


def test_photographs_alone_point_to_images_only(draw_part, tmp_path, target):
    draw_part(tmp_path / "new", None)
    with pytest.raises(ValueError, match="`images_only=OUT`"):
        convert_isic(tmp_path / "new", None, target)


def test_second_run_finds_the_data_set_complete(part, target):
    assert convert_isic(*part, target).n_written == 3
    before = contents(target)
    assert convert_isic(*part, target).n_written == 0
    assert contents(target) == before


def test_other_options_are_refused(part, target):
    convert_isic(*part, target)
    before = contents(target)
    with pytest.raises(FileExistsError, match=r"size: the folder has 256x256, this run has original"):
        convert_isic(*part, target, options=IsicOptions(size=None))
    with pytest.raises(FileExistsError, match=r"sigmoid: the folder has False, this run has True"):
        convert_isic(*part, target, options=IsicOptions(sigmoid=True))
    assert contents(target) == before


def test_other_source_files_are_noticed(draw_part, part, target, tmp_path):
    convert_isic(*part, target)
    draw_part(tmp_path / "b", tmp_path / "c", ["ISIC_0000002", "ISIC_0000001", "ISIC_0000007"])
    with pytest.raises(FileExistsError) as caught:
        convert_isic(tmp_path / "b", tmp_path / "c", target)
    text = str(caught.value)
    assert "in the folder but not among the source files: 1, the first is ISIC_0000003" in text
    assert "among the source files but not in the folder: 1, the first is ISIC_0000007" in text
    assert "made from other source files (name, size, or training instead of test): 2" in text


def test_sources_may_move_between_two_runs(part, target, tmp_path):
    convert_isic(*part, target)
    part[0].rename(tmp_path / "elsewhere")
    assert convert_isic(tmp_path / "elsewhere", part[1], target).n_written == 0


def test_foreign_files_are_refused(part, target, tmp_path):
    (tmp_path / "theirs" / "imagesTr").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="files of another origin"):
        convert_isic(*part, tmp_path / "theirs")
    convert_isic(*part, target)
    Image.new("RGB", (4, 4)).save(target / "imagesTr" / "stray_0000.png")
    with pytest.raises(FileExistsError, match="stray_0000"):
        convert_isic(*part, target)


def fail_at(k: int, error: OSError | KeyboardInterrupt):
    calls = []

    def write(path, pixels):
        calls.append(path)
        if len(calls) == k:
            path.write_bytes(b"half a file")
            raise error
        write_png(path, pixels)

    return write


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_resumed_run_equals_an_undisturbed_one(part, target, tmp_path, monkeypatch, k, error):
    convert_isic(*part, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        patch.setattr(image_cases, "write_png", fail_at(k, error))
        with pytest.raises(type(error)) as caught:
            convert_isic(*part, target)
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC
        assert "No space left on device, while writing " in str(caught.value)
        assert f"{(k - 1) // 2} of 3 cases are there and whole in {target}." in str(caught.value)
    assert not (target / "dataset.json").exists()
    assert not any(content == b"half a file" for content in contents(target).values())
    assert len(list(target.glob("*/*"))) == k - 1
    assert convert_isic(*part, target).n_written == 3 - (k - 1) // 2
    assert contents(target) == contents(tmp_path / "undisturbed")


def test_resuming_cleans_up_after_a_killed_run(part, target):
    convert_isic(*part, target)
    before = contents(target)
    (target / "dataset.json").unlink()
    (target / "imagesTr" / "ISIC_0000001_0000.png").unlink()
    (target / "imagesTr" / ".partial-123-ISIC_0000001_0000.png").write_bytes(b"half")
    (target / "labelsTr" / "ISIC_0000002.png").write_bytes(b"")
    assert convert_isic(*part, target).n_written == 2
    assert contents(target) == before


def test_record_keeps_the_size_before_conversion(part, target):
    convert_isic(*part, target)
    record = json.loads((target / RECORD_FILE).read_text())
    assert record["cases"]["ISIC_0000001"]["source"]["shape"] == [30, 40]
    assert record["sources"] == sorted(str(folder) for folder in part)


def test_images_only_prepares_photographs_as_for_training(part, target, tmp_path):
    convert_isic(*part, target)
    done = prepare_isic_images(part[0], tmp_path / "out")
    assert done.n_test == done.n_written == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(f"{name}_0000.png" for name in IDENTIFIERS),
        RECORD_FILE,
    ]
    for name in IDENTIFIERS:
        there = (tmp_path / "out" / f"{name}_0000.png").read_bytes()
        assert there == (target / "imagesTr" / f"{name}_0000.png").read_bytes()
    assert prepare_isic_images(part[0], tmp_path / "out").n_written == 0
    with pytest.raises(FileExistsError, match="size"):
        prepare_isic_images(part[0], tmp_path / "out", options=IsicOptions(size=None))


def test_images_only_reports_all_unreadable_photographs(part, tmp_path):
    for name in IDENTIFIERS[:2]:
        (part[0] / f"{name}.jpg").write_bytes(b"")
    with pytest.raises(InvalidDatasetError, match="2 problems"):
        prepare_isic_images(part[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_with_spaces_and_accents_find_their_masks(draw_part, tmp_path, target):
    composed, decomposed = "l\u00e9sion 1", "le\u0301sion 1"
    draw_part(tmp_path / "images ü", None, [composed])
    draw_part(tmp_path / "elsewhere", tmp_path / "masks ü", [decomposed])
    assert convert_isic(tmp_path / "images ü", tmp_path / "masks ü", target).n_training == 1


def test_several_masks_of_a_photograph_are_a_problem_of_it(part, target):
    Image.new("L", (40, 30), 255).save(part[1] / "ISIC_0000002_segmentation_1.png")
    done = convert_isic(*part, target, options=IsicOptions(run=RunOptions(skip_invalid=True)))
    assert list(done.skipped) == ["ISIC_0000002"]
    assert written_identifiers(target / "labelsTr") == ["ISIC_0000001", "ISIC_0000003"]
