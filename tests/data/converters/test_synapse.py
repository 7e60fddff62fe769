import json

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.data.converters.synapse import (
    PAPERS_ORGANS,
    RAW_DATA_NUMBERS,
    SynapseOptions,
    convert_synapse,
    prepare_synapse_images,
)
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE
from nnunet_mamba.data.writing.run_options import RunOptions

SIZE = (12, 11, 10)  # (x, y, z)
AFFINE = np.array([[-2, 0, 0, 60], [0, 2, 0, -90], [0, 0, 3, 500], [0, 0, 0, 1.0]])
PAPERS_TEST = [1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38]
ALL_CASES = [*range(1, 11), *range(21, 41)]


def case_voxels(number, n_labels):
    rng = np.random.default_rng(number)
    image = rng.integers(-1024, 1500, SIZE).astype(np.int16)
    return image, rng.permutation(np.arange(image.size) % (n_labels + 1)).reshape(SIZE).astype(np.uint8)


def draw_raw(folder, numbers):
    for name in ("img", "label"):
        (folder / name).mkdir(parents=True)
    for number in numbers:
        for name, voxels in zip(("img", "label"), case_voxels(number, 13), strict=True):
            image = nib.Nifti1Image(voxels, AFFINE)
            image.set_sform(AFFINE, 1)
            nib.save(image, folder / name / f"{name}{number:04d}.nii.gz")


def draw_slices(folder, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image, label = case_voxels(number, 8)
        scaled = ((np.clip(image, -125, 275) + 125) / 400).astype(np.float32)
        for z in range(SIZE[2]):
            np.savez(folder / f"case{number:04d}_slice{z:03d}.npz", image=scaled[..., z].T, label=label[..., z].T)


def identifiers(folder):
    return sorted(path.name[: len("case0000")] for path in folder.iterdir()) if folder.exists() else []


def label_of(folder, identifier):
    return np.asanyarray(nib.load(folder / "labelsTr" / f"{identifier}.nii.gz").dataobj)


@pytest.fixture
def raw(tmp_path):
    draw_raw(tmp_path / "RawData" / "Training", [1, 7])
    return tmp_path / "RawData" / "Training"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "Dataset104_Synapse"


@pytest.mark.parametrize("layout", ["", "Training", "RawData", "RawData/Training", "Abdomen/RawData/Training"])
def test_knows_the_layout(tmp_path, target, layout):
    draw_raw(tmp_path / "CT, südlich" / layout, [1, 7])
    done = convert_synapse(tmp_path / "CT, südlich", target)
    assert (done.n_training, done.n_test) == (2, 0)
    assert identifiers(target / "imagesTr") == identifiers(target / "labelsTr") == ["case0001", "case0007"]
    assert [case.group for case in done.cases] == ["case0001", "case0007"]


def test_eight_organs_have_the_papers_numbers(raw, target):
    convert_synapse(raw, target)
    assert json.loads((target / "dataset.json").read_text())["labels"] == {
        "background": 0,
        "aorta": 1,
        "gallbladder": 2,
        "left_kidney": 3,
        "right_kidney": 4,
        "liver": 5,
        "pancreas": 6,
        "spleen": 7,
        "stomach": 8,
    }
    source, found = case_voxels(7, 13)[1], label_of(target, "case0007")
    expected = {0: 0, 8: 1, 4: 2, 3: 3, 2: 4, 6: 5, 11: 6, 1: 7, 7: 8, 5: 0, 9: 0, 10: 0, 12: 0, 13: 0}
    assert np.array_equal(found, np.vectorize(expected.__getitem__)(source))


def test_thirteen_organs_keep_their_numbers(raw, target):
    convert_synapse(raw, target, options=SynapseOptions(organs=13))
    assert np.array_equal(label_of(target, "case0007"), case_voxels(7, 13)[1])
    labels = json.loads((target / "dataset.json").read_text())["labels"]
    assert list(labels.values()) == list(range(14))
    assert [labels[organ] for organ in ("spleen", "oesophagus", "liver", "left_adrenal_gland")] == [1, 5, 6, 13]


def test_images_keep_values_and_affine(raw, target):
    convert_synapse(raw, target)
    image = nib.load(target / "imagesTr" / "case0007_0000.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert np.array_equal(np.asanyarray(image.dataobj), case_voxels(7, 13)[0])
    assert np.array_equal(image.affine, AFFINE)


def test_passes_nnunets_own_integrity_check(raw, target, verify_integrity):
    convert_synapse(raw, target)
    verify_integrity(target)


def test_lists_all_problems_of_names_and_files_together(raw, target):
    (raw / "label" / "label0001.nii.gz").unlink()
    (raw / "label" / "label0099.nii.gz").write_bytes(b"")
    (raw / "img" / "img0007.nii.gz").write_bytes(b"")
    (raw / "img" / "patient.nii.gz").write_bytes(b"")
    (raw / "img" / "img0001.nii").write_bytes(b"")
    (raw / "img" / "._img0001.nii.gz").write_bytes(b"")
    (raw / "img" / "readme.txt").write_text("x")
    with pytest.raises(InvalidDatasetError) as caught:
        convert_synapse(raw, target)
    found = sorted((problem.identifier, problem.text[:13]) for problem in caught.value.problems)
    assert found == [
        ("case0001", "no label for "),
        ("case0001", "the file is e"),
        ("case0001", "twice, as img"),
        ("case0007", "the file is e"),
        ("case0099", "label: the fi"),
        ("case0099", "no image for "),
        ("patient.nii.gz", "name without "),
    ]
    assert not target.exists()


def test_skips_invalid_cases_on_request(raw, target):
    (raw / "img" / "img0001.nii.gz").write_bytes(b"")
    options = SynapseOptions(run=RunOptions(skip_invalid=True))
    done = convert_synapse(raw, target, options=options)
    assert identifiers(target / "labelsTr") == ["case0007"]
    assert list(done.skipped) == ["case0001"]


def splits_of(folder):
    return json.loads((folder / "splits_final.json").read_text())


@pytest.mark.parametrize(("n_cases", "n_folds"), [(7, 5), (5, 5), (3, 3), (2, 2)])
def test_five_folds_or_one_for_each_of_fewer_cases(tmp_path, target, n_cases, n_folds):
    draw_raw(tmp_path / "RawData", range(1, n_cases + 1))
    done = convert_synapse(tmp_path, target)
    assert (done.n_training, done.n_test) == (n_cases, 0)
    folds = splits_of(target)
    assert len(folds) == n_folds
    held_out = sorted(case for fold in folds for case in fold["val"])
    assert held_out == [f"case{number:04d}" for number in range(1, n_cases + 1)]


def test_a_single_case_is_converted_without_folds(tmp_path, target):
    draw_raw(tmp_path / "RawData", [1])
    done = convert_synapse(tmp_path, target)
    assert done.n_training == 1
    assert "train with fold 'all'" in done.split.warning
    assert not (target / "splits_final.json").exists()


def test_leave_one_out_holds_every_case_out_once(tmp_path, target):
    draw_raw(tmp_path / "RawData", range(1, 8))
    options = SynapseOptions(run=RunOptions(split="leave-one-out"))
    convert_synapse(tmp_path, target, options=options)
    assert [fold["val"] for fold in splits_of(target)] == [[f"case{number:04d}"] for number in range(1, 8)]


PAPERS_SPLIT = RunOptions(split="synapse-18-12")


def test_papers_split_sends_twelve_cases_to_the_test_part(tmp_path, target):
    draw_raw(tmp_path / "RawData", ALL_CASES)
    done = convert_synapse(tmp_path, target, options=SynapseOptions(run=PAPERS_SPLIT))
    assert (done.n_training, done.n_test, done.n_test_labels) == (18, 12, 12)
    assert identifiers(target / "imagesTs") == identifiers(target / "labelsTs")
    assert identifiers(target / "labelsTs") == [f"case{number:04d}" for number in PAPERS_TEST]
    folds = splits_of(target)
    assert len(folds) == 5
    for fold in folds:
        assert sorted(fold["train"] + fold["val"]) == identifiers(target / "imagesTr")


def test_papers_split_lists_a_missing_label_with_all_problems_and_can_leave_it_out(tmp_path, target):
    draw_raw(tmp_path / "RawData", ALL_CASES)
    (tmp_path / "RawData" / "label" / "label0005.nii.gz").unlink()
    (tmp_path / "RawData" / "img" / "img0008.nii.gz").unlink()
    with pytest.raises(InvalidDatasetError) as caught:
        convert_synapse(tmp_path, target, options=SynapseOptions(run=PAPERS_SPLIT))
    assert [problem.identifier for problem in caught.value.problems] == ["case0005", "case0008"]
    assert not target.exists()
    options = SynapseOptions(run=RunOptions(split="synapse-18-12", skip_invalid=True))
    done = convert_synapse(tmp_path, target, options=options)
    assert (done.n_training, done.n_test) == (17, 11)
    assert "case0005" not in (target / "splits_final.json").read_text()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (ALL_CASES[:-1], r"here are 29: 1 missing \(case0040\)"),
        ([*ALL_CASES, 11], r"here are 31: 1 too many \(case0011\)"),
    ],
)
def test_papers_split_refuses_other_cases(tmp_path, target, numbers, message):
    draw_raw(tmp_path / "RawData", numbers)
    with pytest.raises(ValueError, match=message):
        convert_synapse(tmp_path, target, options=SynapseOptions(run=PAPERS_SPLIT))
    assert not target.exists()


@pytest.mark.parametrize("form", ["raw", "TransUNet"])
def test_sigmoid_declares_a_region_for_every_organ_and_changes_no_voxel(tmp_path, target, form):
    numbering = None if form == "raw" else "alphabetical"
    if form == "raw":
        draw_raw(tmp_path / "RawData", [1, 7])
    else:
        draw_slices(tmp_path / "train_npz", [1, 7])
    plain = tmp_path / "plain" / target.name
    for folder, sigmoid in ((plain, False), (target, True)):
        options = SynapseOptions(sigmoid=sigmoid, label_numbering=numbering)
        convert_synapse(tmp_path, folder, options=options)
    content = json.loads((target / "dataset.json").read_text())
    assert content["labels"] == {
        "background": 0,
        **{organ: [number, number] for number, organ in enumerate(PAPERS_ORGANS, start=1)},
    }
    assert content["regions_class_order"] == [1, 2, 3, 4, 5, 6, 7, 8]
    for path in plain.rglob("*.nii.gz"):
        assert (target / path.relative_to(plain)).read_bytes() == path.read_bytes()
    with pytest.raises(FileExistsError, match="sigmoid: the folder has True, this run has False"):
        convert_synapse(tmp_path, target, options=SynapseOptions(label_numbering=numbering))


@pytest.mark.parametrize(
    ("numbering", "expected"),
    [("alphabetical", [1, 2, 3, 4, 5, 6, 7, 8]), ("btcv", [7, 4, 3, 2, 5, 8, 1, 6])],
)
def test_transunets_slices_get_the_papers_numbers(tmp_path, target, numbering, expected):
    draw_slices(tmp_path / "Synapse" / "train_npz", [5, 6])
    options = SynapseOptions(label_numbering=numbering, slice_thickness=5)
    done = convert_synapse(tmp_path / "Synapse", target, options=options)
    assert [case.identifier for case in done.cases] == ["case0005", "case0006"]
    source, found = case_voxels(6, 8)[1], label_of(target, "case0006")
    assert np.array_equal(found, np.array([0, *expected])[source])
    assert nib.load(target / "imagesTr" / "case0006_0000.nii.gz").header.get_zooms() == pytest.approx((0.76, 0.76, 5))


def test_transunets_volumes_join_its_slices(tmp_path, target):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    draw_slices(tmp_path / "train_npz", [5])
    (tmp_path / "test_vol_h5").mkdir()
    with h5py.File(tmp_path / "test_vol_h5" / "case0001.npy.h5", "w") as file:
        file["image"] = np.random.default_rng(0).uniform(0, 1, (3, 4, 5)).astype(np.float32)
        file["label"] = np.full((3, 4, 5), 5, np.float32)
    convert_synapse(tmp_path, target, options=SynapseOptions(label_numbering="btcv"))
    assert identifiers(target / "labelsTr") == ["case0001", "case0005"]


def test_slices_are_stacked_by_number_and_not_by_name(tmp_path, target):
    draw_slices(tmp_path / "train_npz", [5])
    for path in sorted((tmp_path / "train_npz").iterdir()):
        path.rename(path.with_name(path.name.replace("slice00", "slice")))
    convert_synapse(tmp_path, target, options=SynapseOptions(label_numbering="alphabetical"))
    assert np.array_equal(label_of(target, "case0005"), case_voxels(5, 8)[1])


def test_problems_of_slices_are_listed_together(tmp_path, target):
    folder = tmp_path / "train_npz"
    draw_slices(folder, [5, 6, 7])
    (folder / "case0005_slice000.npz").unlink()
    (folder / "case0005_slice004.npz").unlink()
    (folder / "case0006_slice01.npz").write_bytes((folder / "case0006_slice001.npz").read_bytes())
    (folder / "slice1.npz").write_bytes(b"")
    (tmp_path / "test_vol_h5").mkdir()
    (tmp_path / "test_vol_h5" / "case0007.npy.h5").write_bytes(b"")
    with pytest.raises(InvalidDatasetError) as caught:
        convert_synapse(tmp_path, target, options=SynapseOptions(label_numbering="btcv"))
    texts = {problem.identifier: problem.text for problem in caught.value.problems[:4]}
    assert "2 of 10 slices missing (000, 004)" in texts["case0005"]
    assert "11 files for 10 slices" in texts["case0006"]
    assert "slices in train_npz and a volume in test_vol_h5" in texts["case0007"]
    assert "name without a case" in texts["slice1.npz"]


def test_does_not_guess_the_numbering(tmp_path, target):
    draw_slices(tmp_path / "train_npz", [5])
    with pytest.raises(ValueError, match=r"`label_numbering=alphabetical` .*or btcv"):
        convert_synapse(tmp_path, target)


def test_refuses_options_that_the_source_has_not(raw, tmp_path, target):
    with pytest.raises(ValueError, match="leave them out"):
        convert_synapse(raw, target, options=SynapseOptions(label_numbering="btcv"))
    draw_slices(tmp_path / "other" / "train_npz", [5])
    options = SynapseOptions(organs=13, label_numbering="btcv")
    with pytest.raises(ValueError, match="convert RawData for all 13"):
        convert_synapse(tmp_path / "other", target, options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"organs": 9}, "`organs=9`: expected 8 or 13"),
        ({"label_numbering": "mine"}, "`label_numbering=mine`: expected alphabetical or btcv"),
        ({"slice_thickness": 0.0}, "`slice_thickness=0.0`: expected 0.1 to 20 mm"),
        ({"pixel_spacing": float("nan")}, "`pixel_spacing=nan`"),
    ],
)
def test_refuses_unknown_options(options, message):
    with pytest.raises(ValueError, match=message):
        SynapseOptions(**options)


def test_refuses_folders_without_cases_or_with_both_forms(raw, tmp_path, target):
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        convert_synapse(tmp_path / "nowhere", target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no cases in .*: expected RawData"):
        convert_synapse(tmp_path / "empty", target)
    (tmp_path / "empty" / "train_npz").mkdir()
    with pytest.raises(ValueError, match=r"no cases in .*train_npz: expected"):
        convert_synapse(tmp_path / "empty", target, options=SynapseOptions(label_numbering="btcv"))
    (tmp_path / "train_npz").mkdir()
    with pytest.raises(ValueError, match="more than once"):
        convert_synapse(tmp_path, target)
    for path in (raw / "label").iterdir():
        path.unlink()
    (raw / "label").rmdir()
    with pytest.raises(ValueError, match="cannot be trained without labels"):
        convert_synapse(raw, target)


@pytest.mark.parametrize("folder", ["Testing", "Testing/img"])
def test_prepares_images_for_a_prediction(raw, tmp_path, folder):
    (raw / "img").rename(tmp_path / "img")
    (tmp_path / "RawData" / "Testing").mkdir()
    (tmp_path / "img").rename(tmp_path / "RawData" / "Testing" / "img")
    done = prepare_synapse_images(tmp_path / "RawData" / folder, tmp_path / "out")
    assert done.n_test == 2
    images = sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz"))
    assert images == ["case0001_0000.nii.gz", "case0007_0000.nii.gz"]
    record = json.loads((tmp_path / "out" / RECORD_FILE).read_text())
    assert record["options"]["source_labels"] == {"background": 0, **RAW_DATA_NUMBERS}


def test_prepares_transunets_images_without_their_labels(tmp_path):
    draw_slices(tmp_path / "train_npz", [5])
    prepare_synapse_images(tmp_path, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["case0005_0000.nii.gz"]


def test_a_second_run_writes_what_is_missing_with_the_same_bytes(raw, target):
    convert_synapse(raw, target)
    files = {path.name: path.read_bytes() for path in target.rglob("*.nii.gz")}
    assert len(files) == 4
    (target / "imagesTr" / "case0007_0000.nii.gz").unlink()
    assert convert_synapse(raw, target).n_written == 1
    assert {path.name: path.read_bytes() for path in target.rglob("*.nii.gz")} == files


def test_a_gap_of_any_length_is_told_without_listing_it(tmp_path, target):
    draw_slices(tmp_path / "train_npz", [5])
    (tmp_path / "train_npz" / "case0005_slice009.npz").rename(tmp_path / "train_npz" / "case0005_slice999999999999.npz")
    options = SynapseOptions(label_numbering="btcv")
    with pytest.raises(
        InvalidDatasetError, match=r"999999999990 of 1000000000000 slices missing \(009, 010, .* \.\.\.\)"
    ):
        convert_synapse(tmp_path, target, options=options)
