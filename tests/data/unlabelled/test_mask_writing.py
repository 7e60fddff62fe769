import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from data_sets import noise, save_picture, volumes_of_formats
from PIL import Image

from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import restore_masks
from nnunet_mamba.data.restoring.restored_files import restored_files
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.image_reading import read_image
from nnunet_mamba.data.unlabelled.mask_writing import label_on_source, mask_files, write_masks


def pixels(path: Path):
    if path.suffix == ".png":
        return np.asarray(Image.open(path))
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def predicted(image, conversion, seed=0):
    """A label map of blocks, so that resizing it shows."""
    shape = image.channels.shape[1:]
    numbers = np.array(list(conversion.labels.values()))
    coarse = np.random.default_rng(seed).choice(numbers, [-(-size // 3) for size in shape])
    fine = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[: shape[0], : shape[1], : shape[2]]
    return fine.astype(np.uint8 if numbers.max() < 256 else np.uint16)


def write_as_nnunet(label, file, conversion, properties):
    if conversion.kind.is_resized:
        Image.fromarray(label[0]).save(file)
        return
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    SimpleITKIO().write_seg(label, str(file), properties)


def test_a_mask_is_what_restoring_makes_of_the_label_map_that_nnunet_writes(data_set, find, read_converted, tmp_path):
    conversion = data_set.conversion
    converted = data_set.raw
    if data_set.does_prepared_know_values:
        converted = tmp_path / "prepared"
        data_set.prepare(converted)
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    shutil.copy(data_set.raw / "dataset.json", predictions)
    ending = json.loads((predictions / "dataset.json").read_text())["file_ending"]
    written = {}
    for seed, case in enumerate(find(data_set.source, conversion)):
        image = read_image(case, conversion)
        label = predicted(image, conversion, seed)
        identifier, _, properties = read_converted(converted, case.channels[0], conversion)
        write_as_nnunet(label, predictions / f"{identifier}{ending}", conversion, properties)
        files = write_masks(label, case, image, conversion=conversion, output=tmp_path / "out")
        assert files == mask_files(case, tmp_path / "out")
        written[identifier] = files
    dataset = read_converted_dataset(converted, predictions)
    restore_masks(predictions, dataset, tmp_path / "restored")
    assert written
    for identifier, files in written.items():
        restored = restored_files(identifier, dataset, tmp_path / "restored")
        for file, expected in zip(files, restored, strict=True):
            assert np.array_equal(pixels(file), pixels(expected))
            if expected.name.endswith(".nii.gz"):
                assert_same_place(file, expected)


def assert_same_place(file, other):
    one, another = (SimpleITK.ReadImage(str(path)) for path in (file, other))
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert np.allclose(getattr(one, geometry)(), getattr(another, geometry)(), atol=1e-5)


def box(image):
    """A label map that is zero all over but for a box."""
    label = np.zeros(image.channels.shape[1:], np.uint8)
    label[tuple(slice(size // 4, -(-size // 2)) for size in label.shape)] = 1
    return label


def test_a_mask_has_the_name_and_the_size_of_its_source(data_set, find, tmp_path):
    conversion = data_set.conversion
    for case in find(data_set.source, conversion):
        image = read_image(case, conversion)
        files = write_masks(box(image), case, image, conversion=conversion, output=tmp_path / "out")
        assert [file.relative_to(tmp_path / "out").as_posix() for file in files] == list(case.masks)
        if conversion.kind.writes_pictures:
            assert {Image.open(file).size for file in files} == {Image.open(source).size for source in case.channels}
        if len(files) == len(case.channels) and conversion.kind.writes_pictures:
            assert [file.stem for file in files] == [source.stem for source in case.channels]
        written = np.unique(np.concatenate([pixels(file).ravel() for file in files])).tolist()
        values = [known[0] for known in conversion.source_labels.values()][:2]
        assert written == ([0, 255] if isinstance(values[0], str) else sorted(values))
    partial = [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    assert not partial


def test_a_volumes_mask_lies_where_its_source_does_for_every_reader(find, tmp_path):
    (tmp_path / "data").mkdir()
    data_set = volumes_of_formats(tmp_path / "data")
    conversion = data_set.conversion
    cases = find(data_set.source, conversion)
    assert len(cases) == 5
    for case in cases:
        image = read_image(case, conversion)
        (file,) = write_masks(box(image), case, image, conversion=conversion, output=tmp_path / "out")
        assert_same_place(file, case.channels[0])
        if file.name.endswith((".nii", ".nii.gz")):
            affine, source = nib.load(file).affine, np.array(image.source["affine"])
            assert np.allclose(affine, source, atol=1e-5)
            assert np.allclose(affine, nib.load(case.channels[0]).affine, atol=1e-5)


def test_a_turned_photographs_mask_is_turned_back_and_its_label_map_is_not(tmp_path):
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        stored = np.zeros((40, 64, 3), np.uint8)
        stored[:9, :25] = 255
        save_picture(path, stored, exif=exif)
        conversion = ImageConversion(
            kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels={"background": 0, "lesion": 1}
        )
        case = UnlabelledCase(identifier=path.stem, channels=(path,), masks=(f"{path.stem}.png",))
        image = read_image(case, conversion)
        label = (image.channels[:1, 0] > 127).astype(np.uint8)
        upright = label_on_source(label, image, conversion, upright=True)
        assert np.array_equal(upright, image.upright_picture()[..., 0] > 127)
        (file,) = write_masks(label, case, image, conversion=conversion, output=tmp_path / "out")
        assert np.array_equal(pixels(file), stored[..., 0] > 127)
        assert np.array_equal(label_on_source(label, image, conversion), stored[..., 0] > 127)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros((1, 20, 16), np.uint8), r"a label map of \(1, 20, 16\) uint8, expected \(1, 16, 20\) whole numbers"),
        (np.zeros((16, 20), np.uint8), "the grid of a.png as it was read"),
        (np.zeros((1, 16, 20), np.float32), "float32, expected"),
        (np.full((1, 16, 20), 2, np.uint8), r"holds 2, expected 0 \(background\), 1 \(lesion\)"),
        (np.full((1, 16, 20), -1, np.int16), "holds -1, expected 0"),
    ],
)
def test_what_is_no_label_map_of_the_image_is_refused(tmp_path, label, message):
    save_picture(tmp_path / "a.png", noise(0, (30, 44, 3)))
    conversion = ImageConversion(
        kind=ImageKind.PHOTOGRAPHS,
        channel_names=("R", "G", "B"),
        labels={"background": 0, "lesion": 1},
        size=(16, 20),
    )
    case = UnlabelledCase(identifier="a", channels=(tmp_path / "a.png",), masks=("a.png",))
    image = read_image(case, conversion)
    with pytest.raises(ValueError, match=message):
        write_masks(label, case, image, conversion=conversion, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_a_mask_that_cannot_be_written_leaves_nothing_behind(tmp_path, ending):
    source = SimpleITK.GetImageFromArray(noise(0, (4, 5, 6)))
    SimpleITK.WriteImage(source, str(tmp_path / f"a{ending}"))
    conversion = ImageConversion(
        kind=ImageKind.VOLUMES, channel_names=("image",), labels={"background": 0, "lesion": 1}
    )
    case = UnlabelledCase(identifier="a", channels=(tmp_path / f"a{ending}",), masks=(f"x/a{ending}",))
    image = read_image(case, conversion)
    # A folder in the place of the file.
    (tmp_path / "out" / "x" / f"a{ending}").mkdir(parents=True)
    with pytest.raises(OSError, match=f"a{ending}"):
        write_masks(box(image), case, image, conversion=conversion, output=tmp_path / "out")
    assert list((tmp_path / "out").rglob("*a*")) == [tmp_path / "out" / "x" / f"a{ending}"]


def test_sixteen_bits_are_written_where_labels_need_them(tmp_path):
    save_picture(tmp_path / "a.png", noise(0, (30, 44)))
    labels = {"background": 0, "many": 40000, "few": 7}
    conversion = ImageConversion(kind=ImageKind.GREY_PICTURES, channel_names=("grey",), labels=labels, size=(15, 22))
    case = UnlabelledCase(identifier="a", channels=(tmp_path / "a.png",), masks=("a.png",))
    image = read_image(case, conversion)
    label = np.zeros((1, 15, 22), np.uint16)
    label[0, :5], label[0, 5:7] = 40000, 7
    (file,) = write_masks(label, case, image, conversion=conversion, output=tmp_path / "out")
    assert np.array_equal(pixels(file), label[0].repeat(2, 0).repeat(2, 1))
