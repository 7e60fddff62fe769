import errno
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from blobs import SHAPES, VALUES, draw_blob
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import PhotographConverter, photograph_description
from nnunet_mamba.data.formats.nifti_files import Volume, encode_nifti, read_nifti, write_compressed
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.restoring import restoration
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import RESTORATION_FILE, restore_masks
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import write_prediction_images
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import only_writer


def restore(predictions, raw, output, **options):
    return restore_masks(predictions, read_converted_dataset(raw, predictions), output, **options)


def pixels(folder):
    return {path.stem: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


@pytest.mark.parametrize("sigmoid", [False, True])
def test_masks_of_the_original_size_come_back_identical(cases, convert, tmp_path, sigmoid):
    raw = convert(cases, tmp_path / "raw", sigmoid=sigmoid)
    done = restore(raw / "labelsTr", raw, tmp_path / "restored")
    assert (done.identifiers, done.n_written, done.keeps_values) == (("a", "b", "c"), 3, False)
    for case in cases:
        restored = Image.open(tmp_path / "restored" / f"{case.identifier}.png")
        assert restored.mode == "L"
        assert np.array_equal(np.asarray(restored), np.asarray(Image.open(case.mask)))


def test_resized_masks_come_back_in_the_size_of_their_image(cases, convert, tmp_path):
    raw = convert(cases, tmp_path / "raw", (24, 32))
    restore(raw / "labelsTr", raw, tmp_path / "restored")
    found = pixels(tmp_path / "restored")
    assert {name: label.shape for name, label in found.items()} == SHAPES
    for number, (name, label) in enumerate(found.items()):
        assert np.unique(label).tolist() == [0, 255]
        assert np.mean((label > 0) == draw_blob(SHAPES[name], number)) > 0.97


def test_photographs_prepared_for_prediction_need_the_dataset_json_beside_the_masks(cases, raw, tmp_path):
    prepared = tmp_path / "prepared"
    cases = [replace(case, mask=None, is_training=False) for case in cases]
    record = ConversionRecord.of("test", {"size": "16x16", "images_only": True, "source_labels": VALUES}, cases)
    description = photograph_description("lesion", sigmoid=False)
    write_prediction_images(cases, prepared, description, converter=PhotographConverter(size=(16, 16)), record=record)
    (tmp_path / "masks_16").mkdir()
    for name in SHAPES:
        Image.fromarray(np.ones((16, 16), np.uint8)).save(tmp_path / "masks_16" / f"{name}.png")
    with pytest.raises(FileNotFoundError, match=r"no dataset.json in .*prepared or .*masks_16"):
        restore(tmp_path / "masks_16", prepared, tmp_path / "restored")
    shutil.copy(raw / "dataset.json", tmp_path / "masks_16")
    restore(tmp_path / "masks_16", prepared, tmp_path / "restored")
    assert {name: (label.shape, label.min()) for name, label in pixels(tmp_path / "restored").items()} == {
        name: (shape, 255) for name, shape in SHAPES.items()
    }


def test_an_upright_mask_is_turned_back_to_the_stored_pixels(raw, tmp_path):
    content = json.loads((raw / RECORD_FILE).read_text())
    content["cases"]["a"]["source"]["orientation"] = 6
    (raw / RECORD_FILE).write_text(json.dumps(content))
    restore(raw / "labelsTr", raw, tmp_path / "restored")
    found = pixels(tmp_path / "restored")
    assert np.array_equal(found["a"], np.rot90(draw_blob(SHAPES["a"], 0)) * np.uint8(255))
    assert found["b"].shape == SHAPES["b"]


def test_values_stay_where_those_of_the_source_are_not_known(cases, convert, tmp_path):
    raw = convert(cases, tmp_path / "raw", source_labels=None)
    assert restore(raw / "labelsTr", raw, tmp_path / "restored").keeps_values
    assert np.unique(pixels(tmp_path / "restored")["a"]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("lesion", "value"),
    [(77, 77), ([200, 255], 200), (1000, 1000), ("#ff8000", [255, 128, 0])],
    ids=["number", "several", "16 bits", "colour"],
)
def test_labels_get_the_values_of_the_source(cases, convert, tmp_path, lesion, value):
    raw = convert(cases, tmp_path / "raw", source_labels={"background": 7, "lesion": lesion})
    restore(raw / "labelsTr", raw, tmp_path / "restored")
    blob = draw_blob(SHAPES["b"], 1)
    restored = pixels(tmp_path / "restored")["b"]
    assert (restored[blob] == value).all()
    assert (restored[~blob] == 7).all()


def test_lists_all_problems_and_writes_nothing(raw, tmp_path):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    shutil.copy(raw / "labelsTr" / "a.png", predictions / "z.png")
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(predictions / "a.png")
    Image.fromarray(np.full(SHAPES["b"], 255, np.uint8)).save(predictions / "b.png")
    (predictions / "c.png").write_bytes(b"damaged")
    with pytest.raises(InvalidDatasetError) as caught:
        restore(predictions, raw, tmp_path / "restored")
    text = str(caught.value)
    assert "4 problems found" in text
    for line in (
        f"z: no case of {raw}, which has 3",
        "a: 8 x 9 pixels, its converted image 41 x 30 (width x height)",
        "b: unknown values 255 (1924x), expected 0 (background), 1 (lesion)",
        "c: not an image",
    ):
        assert line in text
    assert not (tmp_path / "restored").exists()


def test_a_coloured_picture_is_no_label_map(raw, tmp_path):
    (tmp_path / "predictions").mkdir()
    Image.fromarray(np.zeros((*SHAPES["a"], 3), np.uint8)).save(tmp_path / "predictions" / "a.png")
    with pytest.raises(InvalidDatasetError, match="a: colour mode RGB, expected 8-bit grey"):
        restore(tmp_path / "predictions", raw, tmp_path / "restored")


def test_continues_after_an_interruption(raw, tmp_path, monkeypatch):
    restore(raw / "labelsTr", raw, tmp_path / "undisturbed")
    written = []

    def interrupted(path):
        if path.name == "b.png":
            written.append(path)
            raise KeyboardInterrupt
        return replacing(path)

    with monkeypatch.context() as patch:
        patch.setattr(restoration, "replacing", interrupted)
        with pytest.raises(KeyboardInterrupt):
            restore(raw / "labelsTr", raw, tmp_path / "restored")
    assert written
    assert sorted(path.name for path in (tmp_path / "restored").glob("*.png")) == ["a.png"]
    (tmp_path / "restored" / ".partial-1-b.png").write_bytes(b"half")
    assert restore(raw / "labelsTr", raw, tmp_path / "restored").n_written == 2
    assert restore(raw / "labelsTr", raw, tmp_path / "restored").n_written == 0
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("restored", "undisturbed")
    ]
    assert contents[0] == contents[1]


def test_a_full_disk_is_named_with_the_way_to_go_on(raw, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(restoration, "_restore", full)
    with pytest.raises(OSError, match=f"No space left on device, while writing {tmp_path / 'restored'}.*continues"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")


def test_two_runs_at_once_do_not_write_the_same_folder(raw, tmp_path):
    with only_writer(tmp_path / "restored"), pytest.raises(FileExistsError, match="another process is writing there"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")


def test_masks_of_other_predictions_are_not_mixed(raw, tmp_path):
    restore(raw / "labelsTr", raw, tmp_path / "restored")
    Image.fromarray(np.zeros(SHAPES["a"], np.uint8)).save(raw / "labelsTr" / "a.png")
    with pytest.raises(FileExistsError, match="holds masks of other predictions; choose another `output`"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")
    (tmp_path / "restored" / RESTORATION_FILE).unlink()
    with pytest.raises(FileExistsError, match="is there and not empty"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")


AFFINE = np.array([[0.8, 0, 0, -30], [0, 0.8, 0, 4], [0, 0, 2.5, 100], [0, 0, 0, 1.0]])
ORGANS = {"background": 0, "aorta": 8, "liver": 6}


def write_volume_dataset(folder, source):
    """A raw data set of one volume, as far as the way back looks at it."""
    folder.mkdir()
    labels = {"background": 0, "aorta": 1, "liver": 2}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    (folder / "channel.nii.gz").write_bytes(b"x")
    case = Case(identifier="case0001", channels=(folder / "channel.nii.gz",), is_training=False)
    ConversionRecord.of("test", {"source_labels": ORGANS}, [case]).write(folder, {"case0001": source})
    return folder


def test_volumes_come_back_with_place_and_values(tmp_path):
    source = {"shape": [4, 5, 6], "affine": AFFINE.tolist()}
    raw = write_volume_dataset(tmp_path / "raw", source)
    (tmp_path / "predictions").mkdir()
    stored = np.random.default_rng(0).integers(0, 3, (4, 5, 6), dtype=np.uint8)
    reversed_columns = AFFINE @ np.array([[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    predicted = encode_nifti(Volume(stored[:, :, ::-1], reversed_columns))
    write_compressed(tmp_path / "predictions" / "case0001.nii.gz", predicted)
    restore(tmp_path / "predictions", raw, tmp_path / "restored")
    restored = read_nifti(tmp_path / "restored" / "case0001.nii.gz")
    assert np.array_equal(restored.voxels, np.array([0, 8, 6])[stored])
    assert np.allclose(restored.affine, AFFINE)
    assert restored.voxels.dtype == np.uint8


def test_volumes_on_another_grid_are_problems(tmp_path):
    raw = write_volume_dataset(tmp_path / "raw", {"shape": [4, 5, 6], "affine": AFFINE.tolist()})
    (tmp_path / "predictions").mkdir()
    shifted = Volume(np.zeros((4, 5, 6), np.uint8), AFFINE + np.eye(4, k=3) * 0.4)
    write_compressed(tmp_path / "predictions" / "case0001.nii.gz", encode_nifti(shifted))
    with pytest.raises(InvalidDatasetError, match="case0001: is not on the grid of its source"):
        restore(tmp_path / "predictions", raw, tmp_path / "restored")
    (tmp_path / "predictions" / "case0001.nii.gz").write_bytes(b"x")
    with pytest.raises(InvalidDatasetError, match="case0001: unreadable"):
        restore(tmp_path / "predictions", raw, tmp_path / "restored")


def test_a_stack_comes_back_as_one_mask_for_each_slice(tmp_path):
    source = {"shape": [3, 5, 6], "slices": ["P_1.tif", "P_2.tif", "P_10.tif"]}
    raw = write_volume_dataset(tmp_path / "raw", source)
    (tmp_path / "predictions").mkdir()
    stored = np.random.default_rng(0).integers(0, 3, (3, 5, 6), dtype=np.uint8)
    write_compressed(tmp_path / "predictions" / "case0001.nii.gz", encode_nifti(Volume(stored, AFFINE)))
    assert restore(tmp_path / "predictions", raw, tmp_path / "restored").n_written == 1
    found = pixels(tmp_path / "restored" / "case0001")
    for index, name in enumerate(("P_1", "P_2", "P_10")):
        assert np.array_equal(found.pop(name), np.array([0, 8, 6])[stored[index]])
    assert not found
    assert restore(tmp_path / "predictions", raw, tmp_path / "restored").n_written == 0
    (tmp_path / "restored" / "case0001" / "P_10.png").unlink()
    assert restore(tmp_path / "predictions", raw, tmp_path / "restored").n_written == 1


def test_a_picture_comes_back_under_the_name_of_its_source(raw, tmp_path):
    content = json.loads((raw / RECORD_FILE).read_text())
    content["cases"]["a"]["source"]["file"] = "patient.1/slice.tif"
    (raw / RECORD_FILE).write_text(json.dumps(content))
    assert restore(raw / "labelsTr", raw, tmp_path / "restored").n_written == 3
    files = sorted(path.relative_to(tmp_path / "restored") for path in (tmp_path / "restored").rglob("*.png"))
    assert [file.as_posix() for file in files] == ["b.png", "c.png", "patient.1/slice.png"]
    assert restore(raw / "labelsTr", raw, tmp_path / "restored").n_written == 0


def test_the_result_does_not_depend_on_the_number_of_jobs(raw, tmp_path):
    for number in range(20):
        shutil.copy(raw / "labelsTr" / "c.png", raw / "labelsTr" / f"c{number}.png")
    content = json.loads((raw / RECORD_FILE).read_text())
    content["cases"].update({f"c{number}": content["cases"]["c"] for number in range(20)})
    (raw / RECORD_FILE).write_text(json.dumps(content))
    for jobs in (1, 2):
        assert restore(raw / "labelsTr", raw, tmp_path / f"jobs{jobs}", jobs=jobs).n_written == 23
    found = [{path.name: path.read_bytes() for path in (tmp_path / f"jobs{jobs}").iterdir()} for jobs in (1, 2)]
    assert found[0] == found[1]


def test_what_nnunet_writes_is_read(raw, tmp_path):
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    (tmp_path / "predictions").mkdir()
    blob = draw_blob(SHAPES["a"], 0)
    NaturalImage2DIO().write_seg(blob[None].astype(np.uint8), str(tmp_path / "predictions" / "a.png"), {})
    restore(tmp_path / "predictions", raw, tmp_path / "restored")
    assert np.array_equal(pixels(tmp_path / "restored")["a"], blob * np.uint8(255))


def test_slices_that_the_mask_does_not_have_are_a_problem(raw, tmp_path):
    content = json.loads((raw / RECORD_FILE).read_text())
    content["cases"]["a"]["source"]["slices"] = ["1.png", "2.png"]
    (raw / RECORD_FILE).write_text(json.dumps(content))
    with pytest.raises(InvalidDatasetError, match=r"a: restores to the shape .* and its source had 2 slices"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")


def test_predictions_of_another_ending_are_not_left_out(raw, tmp_path):
    (raw / "labelsTr" / "b.png").rename(raw / "labelsTr" / "b.PNG")
    with pytest.raises(InvalidDatasetError, match=r"b: is called b\.PNG, expected b\.png; rename or convert it"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")


def test_masks_are_not_written_where_nnunet_reads(raw, tmp_path):
    with pytest.raises(FileExistsError, match=r"belongs to .* choose another `output`"):
        restore(raw / "labelsTr", raw, raw / "labelsTs")
    assert not (raw / "labelsTs").exists()


def test_mistyped_folders_are_told(raw, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds no \.png files"):
        restore(tmp_path / "empty", raw, tmp_path / "restored")
    with pytest.raises(
        FileNotFoundError, match=r"folder of predictions .*labelsTx does not exist; did you mean .*labelsTr"
    ):
        restore(raw / "labelsTx", raw, tmp_path / "restored")
    with pytest.raises(NotADirectoryError, match="is a file, expected the folder of the converted data set"):
        restore(raw / "labelsTr", raw / "dataset.json", tmp_path / "restored")
    with pytest.raises(NotADirectoryError, match=r"is a file, expected a folder.* choose another `output`"):
        restore(raw / "labelsTr", raw, raw / "dataset.json")


def test_a_full_disk_at_the_first_file_is_told_with_the_way_to_go_on(raw, tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(restoration, "replacing", full)
    with pytest.raises(OSError, match=f"No space left on device, while writing {tmp_path / 'restored'}.*continues"):
        restore(raw / "labelsTr", raw, tmp_path / "restored")
