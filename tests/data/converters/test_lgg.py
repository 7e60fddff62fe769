import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from lgg_scans import SCANS, draw_scan, draw_tree
from PIL import Image

from nnunet_mamba.data.converters.lgg import LggOptions, convert_lgg, missing_sequences
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE
from nnunet_mamba.data.writing.run_options import RunOptions


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "Dataset103_LGG"


@pytest.fixture
def tree(tmp_path):
    return draw_tree(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def problems_of(tree, target, **options) -> list[str]:
    with pytest.raises(InvalidDatasetError) as caught:
        convert_lgg(tree, target, options=LggOptions(**options))
    assert not target.exists()
    return [f"{problem.identifier}: {problem.text}" for problem in caught.value.problems]


def test_volumes_hold_the_slices_in_the_order_of_their_numbers(tree, target):
    done = convert_lgg(tree, target)
    assert (done.n_training, done.n_test) == (2, 0)
    assert written(target / "imagesTr") == [f"{name}_000{channel}.nii.gz" for name in SCANS for channel in range(3)]
    assert written(target / "labelsTr") == [f"{name}.nii.gz" for name in SCANS]
    for name, n_slices in SCANS.items():
        files = [tree / name / f"{name}_{number}.tif" for number in range(1, n_slices + 1)]
        for channel in range(3):
            image = SimpleITK.ReadImage(str(target / "imagesTr" / f"{name}_000{channel}.nii.gz"))
            assert image.GetSpacing() == (1.0, 1.0, 5.0)
            expected = np.stack([np.asarray(Image.open(file))[..., channel] for file in files])
            assert np.array_equal(SimpleITK.GetArrayFromImage(image), expected)
        label = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(target / "labelsTr" / f"{name}.nii.gz")))
        masks = [file.with_name(f"{file.stem}_mask.tif") for file in files]
        assert np.array_equal(label * 255, np.stack([np.asarray(Image.open(mask)) for mask in masks]))


def test_slices_are_pictures_whose_names_sort_by_number(tree, target):
    done = convert_lgg(tree, target, options=LggOptions(as_volumes=False))
    assert done.n_training == 15
    expected = [f"{name}_{number:03d}" for name, n_slices in SCANS.items() for number in range(1, n_slices + 1)]
    assert written(target / "imagesTr") == [f"{name}_0000.png" for name in expected]
    assert written(target / "labelsTr") == [f"{name}.png" for name in expected]
    source = tree / "TCGA_CS_4941_19960909" / "TCGA_CS_4941_19960909_10.tif"
    picture = np.asarray(Image.open(target / "imagesTr" / "TCGA_CS_4941_19960909_010_0000.png"))
    assert np.array_equal(picture, np.asarray(Image.open(source)))
    label = np.asarray(Image.open(target / "labelsTr" / "TCGA_CS_4941_19960909_010.png"))
    assert np.array_equal(label * 255, np.asarray(Image.open(source.with_name(f"{source.stem}_mask.tif"))))


@pytest.mark.parametrize(
    ("as_volumes", "sigmoid", "reader"),
    [(True, False, "SimpleITKIO"), (True, True, "SimpleITKIO"), (False, False, "NaturalImage2DIO")],
)
def test_dataset_json(tree, target, as_volumes, sigmoid, reader):
    done = convert_lgg(tree, target, options=LggOptions(as_volumes=as_volumes, sigmoid=sigmoid))
    content = json.loads((target / "dataset.json").read_text())
    assert content.pop("regions_class_order", None) == ([1] if sigmoid else None)
    assert content == {
        "channel_names": {"0": "pre-contrast", "1": "FLAIR", "2": "post-contrast"},
        "labels": {"background": 0, "tumour": [1, 1] if sigmoid else 1},
        "numTraining": done.n_training,
        "file_ending": ".nii.gz" if as_volumes else ".png",
        "overwrite_image_reader_writer": reader,
    }


def test_nnunet_normalises_every_channel_by_its_mean():
    from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme

    for name in LggOptions().description().channel_names:
        assert get_normalization_scheme(name).__name__ == "ZScoreNormalization"


@pytest.mark.parametrize("as_volumes", [True, False])
def test_missing_sequences_are_on_a_table(tree, target, as_volumes):
    draw_scan(tree / "TCGA_FG_7634_20000128", 2, seed=1, copied_channels=(2,))
    draw_scan(tree / "TCGA_HT_7877_19980917", 2, seed=2, copied_channels=(0, 2))
    draw_scan(tree / "TCGA_HT_8563_19981209", 2, seed=3)
    # A blank slice at the end of a stack shows no sequence, and says nothing about the others.
    Image.new("RGB", (32, 24)).save(tree / "TCGA_HT_8563_19981209" / "TCGA_HT_8563_19981209_2.tif")
    options = LggOptions(as_volumes=as_volumes)
    expected = [
        ("TCGA_FG_7634_20000128", "post-contrast"),
        ("TCGA_HT_7877_19980917", "pre-contrast"),
        ("TCGA_HT_7877_19980917", "post-contrast"),
    ]
    assert missing_sequences(convert_lgg(tree, target, options=options)) == expected
    table = target / "missing_sequences.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows == [["scan", "sequence", "equals"], *([scan, name, "FLAIR"] for scan, name in expected)]
    before = contents(target)
    table.unlink()
    assert missing_sequences(convert_lgg(tree, target, options=options)) == expected
    assert contents(target) == before


def test_all_problems_of_names_and_files_are_listed_together(tree, target):
    first, second = (tree / name for name in SCANS)
    (first / f"{first.name}_1_mask.tif").unlink()
    (first / f"{first.name}_4.tif").unlink()
    for number in (6, 7, 9):
        (first / f"{first.name}_{number}.tif").unlink()
        (first / f"{first.name}_{number}_mask.tif").unlink()
    (first / f"{first.name}_11.tif").write_bytes(b"")
    shutil.copy(second / f"{second.name}_2.tif", second / f"{second.name}_02.tif")
    shutil.copy(second / f"{second.name}_2_mask.tif", second / f"{second.name}_02_mask.tif")
    shutil.copy(second / f"{second.name}_2.tif", second / f"{first.name}_2.tif")
    (tree / "TCGA_HT_7602_19951103").mkdir()
    (tree / "TCGA_HT 7616 (1)").mkdir()
    shutil.copytree(first, tree / "new patient")
    assert problems_of(tree, target) == [
        f"{first.name}: no image for the mask of slice 4; copy it again",
        f"{first.name}: slices 6 to 7 are missing, expected all from 1; copy the folder again",
        f"{first.name}: slice 9 is missing, expected all from 1; copy the folder again",
        f"{second.name}: expected {second.name}_1.tif or {second.name}_1_mask.tif with the number of a slice; is it of "
        "another scan?",
        f"{second.name}: 2 images for slice 2, expected one: {second.name}_02.tif, {second.name}_2.tif; remove the "
        "other",
        f"{second.name}: 2 masks for slice 2, expected one: {second.name}_02_mask.tif, {second.name}_2_mask.tif; "
        "remove the other",
        "TCGA_HT 7616 (1): expected a name such as TCGA_CS_4941_19960909, letters, digits and '_'; rename or remove it",
        "TCGA_HT_7602_19951103: no slices, expected TIFF files; copy the folder again or remove it",
        "new patient: expected a name such as TCGA_CS_4941_19960909, letters, digits and '_'; rename or remove it",
        f"{first.name}: no mask for this slice, expected {first.name}_1_mask.tif beside it; copy it again",
        f"{first.name}: the file is empty (0 bytes); copy or download it again",
    ]


def test_problems_of_a_slice_name_the_slice(tree, target):
    first, second = (tree / name for name in SCANS)
    (first / f"{first.name}_1_mask.tif").unlink()
    (first / f"{first.name}_4.tif").unlink()
    (second / f"{second.name}_1.tif").unlink()
    (second / f"{second.name}_1_mask.tif").unlink()
    # No slice of the scan is to be left out for it.
    shutil.copy(second / f"{second.name}_2.tif", second / f"{second.name}_2 copy.tif")
    assert problems_of(tree, target, as_volumes=False) == [
        f"{first.name}_004: no image for the mask of slice 4; copy it again",
        f"{second.name}_2 copy: expected {second.name}_1.tif or {second.name}_1_mask.tif with the number of a slice; "
        "is it of another scan?",
        f"{second.name}_001: slice 1 is missing, expected all from 1; copy the folder again",
        f"{first.name}_001: no mask for this slice, expected {first.name}_1_mask.tif beside it; copy it again",
    ]


@pytest.mark.parametrize("as_volumes", [True, False])
def test_the_same_scan_under_two_names_is_refused(tree, target, as_volumes):
    copy = tree / "TCGA_HT_7602_19951103"
    copy.mkdir()
    for path in (tree / "TCGA_DU_A5TU_19980312").iterdir():
        shutil.copy(path, copy / path.name.replace("TCGA_DU_A5TU_19980312", copy.name))
    found = problems_of(tree, target, as_volumes=as_volumes)
    assert len(found) == (1 if as_volumes else 3)
    assert all(
        text.startswith("TCGA_HT_7602_19951103") and "the same picture as TCGA_DU_A5TU" in text for text in found
    )


def test_skips_the_patient_with_a_problem(tree, target):
    (tree / "TCGA_CS_4941_19960909" / "TCGA_CS_4941_19960909_5_mask.tif").unlink()
    done = convert_lgg(tree, target, options=LggOptions(run=RunOptions(skip_invalid=True)))
    assert [case.identifier for case in done.cases] == ["TCGA_DU_A5TU_19980312"]
    assert list(done.skipped) == ["TCGA_CS_4941_19960909"]
    assert written(target / "labelsTr") == ["TCGA_DU_A5TU_19980312.nii.gz"]


def test_dry_run_writes_nothing_and_finds_missing_sequences(tree, target):
    draw_scan(tree / "TCGA_FG_7634_20000128", 2, seed=1, copied_channels=(2,))
    done = convert_lgg(tree, target, options=LggOptions(run=RunOptions(dry_run=True)))
    assert missing_sequences(done) == [("TCGA_FG_7634_20000128", "post-contrast")]
    assert not target.exists()


def test_refuses_a_size_for_volumes():
    with pytest.raises(
        ValueError, match="`size=128x96` is for `as_volumes=False`; nnU-Net brings volumes to one spacing"
    ):
        LggOptions(size=(128, 96))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"slice_thickness": 6.0}, "slice_thickness: the folder has 5.0, this run has 6.0"),
        ({"pixel_spacing": 0.9}, "pixel_spacing: the folder has 1.0, this run has 0.9"),
        ({"as_volumes": False}, "as: the folder has volumes, this run has slices"),
        ({"sigmoid": True}, "sigmoid: the folder has False, this run has True"),
    ],
)
def test_other_options_are_refused(tree, target, option, text):
    convert_lgg(tree, target)
    before = contents(target)
    with pytest.raises(FileExistsError, match=text):
        convert_lgg(tree, target, options=LggOptions(**option))
    assert contents(target) == before


def test_record_names_every_slice_and_mask(tree, target):
    convert_lgg(tree, target)
    record = json.loads((target / RECORD_FILE).read_text())
    case = record["cases"]["TCGA_DU_A5TU_19980312"]
    assert sorted(case["files"]) == written(tree / "TCGA_DU_A5TU_19980312")
    assert case["source"]["shape"] == [3, 24, 32]
    mask = tree / "TCGA_DU_A5TU_19980312" / "TCGA_DU_A5TU_19980312_3_mask.tif"
    mask.write_bytes(mask.read_bytes() + b"x")
    with pytest.raises(FileExistsError, match="made from other source files"):
        convert_lgg(tree, target)


@pytest.mark.parametrize("as_volumes", [True, False])
def test_resumed_run_equals_an_undisturbed_one(tree, target, as_volumes):
    options = LggOptions(as_volumes=as_volumes)
    convert_lgg(tree, target, options=options)
    before = contents(target)
    (target / "dataset.json").unlink()
    (target / "missing_sequences.csv").unlink()
    next(path for path in sorted((target / "labelsTr").iterdir())).unlink()
    next(path for path in sorted((target / "imagesTr").iterdir())).write_bytes(b"")
    assert convert_lgg(tree, target, options=options).n_written == 1
    assert contents(target) == before


def test_a_tree_that_is_there_twice_is_converted_once(tree, target, tmp_path):
    shutil.copytree(tree, tmp_path / "lgg-mri-segmentation" / "kaggle_3m")
    assert convert_lgg(tmp_path, target).n_training == 2
