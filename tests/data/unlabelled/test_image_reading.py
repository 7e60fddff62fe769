import pickle

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from data_sets import AFFINE, DATA_SETS, ct, grey_pictures, isic, lgg, noise, save_picture, transunet, volumes
from PIL import Image

from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.image_reading import UnreadableImageError, read_image
from nnunet_mamba.data.writing.conversion_record import read_conversion_record

LABELS = {"background": 0, "lesion": 1}
PHOTOGRAPHS = ImageConversion(kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels=LABELS, size=(16, 20))


def volumes_of(*names, **options):
    tokens = names if len(names) > 1 else ()
    return ImageConversion(kind=ImageKind.VOLUMES, channel_names=names, channel_tokens=tokens, labels=LABELS, **options)


def case(*paths):
    return UnlabelledCase(identifier="a", channels=paths, masks=("a.png",))


def save_volume(path, voxels, affine=AFFINE):
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def refusal(conversion, *paths):
    with pytest.raises(UnreadableImageError) as error:
        read_image(case(*paths), conversion)
    return error.value


def test_an_image_is_what_nnunet_reads_of_the_converted_file(data_set, find, read_converted, tmp_path):
    conversion = data_set.conversion
    data_set.prepare(tmp_path / "prepared")
    cases = find(data_set.source, conversion)
    assert len(cases) == len(read_conversion_record(tmp_path / "prepared").cases)
    for case in cases:
        image = read_image(case, conversion)
        _, channels, properties = read_converted(tmp_path / "prepared", case.channels[0], conversion)
        assert image.channels.shape == channels.shape
        assert np.array_equal(image.channels.astype(np.float32), channels)
        assert image.spacing == tuple(map(float, properties["spacing"]))


def test_an_image_can_be_sent_from_a_process_that_reads(data_set, find):
    conversion = data_set.conversion
    image = read_image(find(data_set.source, conversion)[0], conversion)
    sent = pickle.loads(pickle.dumps(image))
    assert np.array_equal(sent.channels, image.channels)
    assert (sent.spacing, sent.source, sent.files) == (image.spacing, image.source, image.files)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        *((kind, ending) for kind in ("colours", "grey", "two channels") for ending in (".png", ".bmp", ".tif")),
        ("deep", ".png"),
        ("deep", ".tif"),
    ],
)
def test_pictures_of_a_data_set_made_by_hand_are_read_as_nnunet_reads_them(tmp_path, ending, kind):
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    n_files = 2 if kind == "two channels" else 1
    names = {"colours": ("R", "G", "B"), "two channels": ("a", "b")}.get(kind, ("grey",))
    paths = []
    for number in range(n_files):
        pixels = noise(number, (20, 30, 3) if kind == "colours" else (20, 30))
        if kind == "deep":
            pixels = pixels.astype(np.uint16) * 200
        paths.append(tmp_path / f"a_000{number}{ending}")
        Image.fromarray(pixels).save(paths[-1])
    conversion = ImageConversion(
        kind=ImageKind.PHOTOGRAPHS if kind == "colours" else ImageKind.GREY_PICTURES,
        channel_names=names,
        channel_tokens=tuple(f"000{number}" for number in range(n_files)),
        labels=LABELS,
        is_by_hand=True,
    )
    image = read_image(case(*paths), conversion)
    channels, properties = NaturalImage2DIO().read_images([str(path) for path in paths])
    assert np.array_equal(image.channels.astype(np.float32), channels)
    assert image.spacing == properties["spacing"]
    assert image.channels.dtype == (np.uint16 if kind == "deep" else np.uint8)
    assert image.upright_picture().shape == (20, 30, 3)
    assert image.upright_picture().dtype == np.uint8


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_volumes_of_a_data_set_made_by_hand_are_read_as_nnunet_reads_them(tmp_path, ending, dtype):
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    rng = np.random.default_rng(0)
    paths = [tmp_path / f"a_000{number}{ending}" for number in range(2)]
    for path in paths:
        stored = SimpleITK.GetImageFromArray(
            (rng.normal(size=(4, 5, 6)) * 900 + 9000).clip(0, 255 if dtype == np.uint8 else None).astype(dtype)
        )
        stored.SetSpacing((0.1, 1 / 3, np.pi))
        SimpleITK.WriteImage(stored, str(path))
    image = read_image(case(*paths), volumes_of("a", "b", is_by_hand=True))
    channels, properties = SimpleITKIO().read_images([str(path) for path in paths])
    assert np.array_equal(image.channels.astype(np.float32), channels)
    assert image.spacing == tuple(map(float, properties["spacing"]))


def test_a_scaled_volume_of_a_data_set_made_by_hand_is_read_as_nnunet_reads_it(tmp_path):
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    scaled = nib.Nifti1Image(np.random.default_rng(0).integers(0, 3000, (4, 5, 6)).astype(np.int16), AFFINE)
    scaled.header.set_slope_inter(0.37, -1000.3)
    nib.save(scaled, tmp_path / "a.nii.gz")
    image = read_image(case(tmp_path / "a.nii.gz"), volumes_of("a", is_by_hand=True))
    channels, _ = SimpleITKIO().read_images([str(tmp_path / "a.nii.gz")])
    assert np.array_equal(image.channels.astype(np.float32), channels)


def test_a_resized_photograph_is_shown_upright_at_full_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = noise(0, (30, 44, 3))
    save_picture(tmp_path / "a.png", pixels, exif=exif)
    for size in ((16, 20), None):
        conversion = ImageConversion(
            kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels=LABELS, size=size
        )
        image = read_image(case(tmp_path / "a.png"), conversion)
        assert image.source == {"shape": [44, 30], "orientation": 6}
        assert image.channels.shape == (3, 1, *(size or (44, 30)))
        assert np.array_equal(image.upright_picture(), np.rot90(pixels, -1))


def test_a_grey_picture_is_shown_grey_and_its_first_channel_alone(tmp_path, find):
    (tmp_path / "data").mkdir()
    data_set = grey_pictures(tmp_path / "data", channels=("_flair", "_t1"))
    conversion = data_set.conversion
    image = read_image(find(data_set.source, conversion)[0], conversion)
    assert np.array_equal(image.upright_picture(), np.repeat(image.channels[0, 0][..., None], 3, axis=-1))


def test_a_blank_slice_of_another_size_is_shown(tmp_path):
    save_picture(tmp_path / "a_1.tif", np.zeros((30, 44, 3), np.uint8))
    conversion = ImageConversion(kind=ImageKind.LGG_SLICES, channel_names=("a", "b", "c"), labels=LABELS, size=(16, 20))
    image = read_image(case(tmp_path / "a_1.tif"), conversion)
    assert np.array_equal(image.upright_picture(), np.zeros((30, 44, 3)))


def test_a_coloured_picture_among_channels_is_no_grey_one_unless_it_is_meant(tmp_path):
    save_picture(tmp_path / "a_t1.png", noise(0, (30, 44)))
    save_picture(tmp_path / "a_t2.png", noise(0, (30, 44, 3)))
    conversion = ImageConversion(
        kind=ImageKind.GREY_PICTURES, channel_names=("a", "b"), channel_tokens=("t1", "t2"), labels=LABELS
    )
    paths = (tmp_path / "a_t1.png", tmp_path / "a_t2.png")
    error = refusal(conversion, *paths)
    assert str(error) == f"{paths[1]}: a coloured picture, and this model was made for grey pictures"
    assert error.can_be_forced
    grey = np.asarray(Image.open(paths[1]).convert("L"))
    assert np.array_equal(read_image(case(*paths), conversion, force=True).channels[1, 0], grey)


def test_a_photograph_that_has_gone_cannot_be_shown(tmp_path):
    save_picture(tmp_path / "a.png", noise(0, (30, 44, 3)))
    image = read_image(case(tmp_path / "a.png"), PHOTOGRAPHS)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"a\.png: unreadable"):
        image.upright_picture()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_picture_is_no_photograph_unless_it_is_meant(tmp_path, mode):
    Image.fromarray(noise(0, (30, 44))).convert(mode).save(tmp_path / "a.png")
    error = refusal(PHOTOGRAPHS, tmp_path / "a.png")
    assert str(error) == f"{tmp_path}/a.png: a grey picture, and this model was made for colour photographs"
    assert error.can_be_forced
    channels = read_image(case(tmp_path / "a.png"), PHOTOGRAPHS, force=True).channels
    assert np.array_equal(channels[0], channels[1])
    assert np.array_equal(channels[0], channels[2])


def test_a_ct_is_refused_where_training_images_had_no_name_that_allows_it(tmp_path):
    path = save_volume(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(-1000, 900, (4, 5, 6)).astype(np.int16))
    error = refusal(volumes_of("image"), path)
    assert "as in a CT, and this model was made for other images" in str(error)
    assert error.can_be_forced
    assert read_image(case(path), volumes_of("image"), force=True).channels.min() < -500
    assert read_image(case(path), volumes_of("CT")).channels.min() < -500
    assert read_image(case(path), volumes_of("image", is_by_hand=True)).channels.min() < -500


def test_what_is_no_ct_is_refused_by_a_model_of_cts(tmp_path):
    conversion = ImageConversion(kind=ImageKind.CT_VOLUMES, channel_names=("CT",), labels=LABELS)
    path = save_volume(tmp_path / "a.nii.gz", noise(0, (4, 5, 6)))
    error = refusal(conversion, path)
    assert "expected Hounsfield units with air below -500" in str(error)
    assert error.can_be_forced
    assert read_image(case(path), conversion, force=True).channels.max() > 200
    undefined = np.full((4, 5, 6), np.nan, np.float32)
    error = refusal(conversion, save_volume(tmp_path / "b.nii.gz", undefined))
    assert "voxels are NaN or infinite" in str(error)
    assert not error.can_be_forced


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "kind"), [("image", ImageKind.VOLUMES), ("CT", ImageKind.CT_VOLUMES)])
def test_values_that_float32_does_not_hold_are_refused_in_words(tmp_path, name, kind):
    conversion = ImageConversion(kind=kind, channel_names=(name,), labels=LABELS)
    voxels = np.full((4, 5, 6), -1000.0)
    voxels[1, 2, 3] = 1e300
    error = refusal(conversion, save_volume(tmp_path / "a.nii.gz", voxels))
    assert "values from -1000 to 1e+300, which float32 does not hold" in str(error)
    assert not error.can_be_forced


def damage(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", DATA_SETS)
@pytest.mark.parametrize("harm", [damage, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_damaged_file_is_one_sentence_that_names_it(tmp_path, find, name, harm):
    (tmp_path / "data").mkdir()
    data_set = DATA_SETS[name](tmp_path / "data")
    conversion = data_set.conversion
    damaged = find(data_set.source, conversion)[-1]
    harm(damaged.channels[-1])
    with pytest.raises(UnreadableImageError) as error:
        read_image(damaged, conversion)
    assert damaged.channels[-1].name in str(error.value)
    assert "\n" not in str(error.value)
    assert not error.value.can_be_forced


def test_slices_of_several_sizes_are_no_scan(tmp_path, find):
    (tmp_path / "data").mkdir()
    data_set = lgg(tmp_path / "data")
    conversion = data_set.conversion
    scan = find(data_set.source, conversion)[0]
    save_picture(scan.channels[1], noise(0, (20, 30, 3)))
    assert "_2.tif has 30x20 pixels, other slices 36x24 pixels" in str(refusal(conversion, *scan.channels))
    for path in scan.channels:
        save_picture(path, np.zeros((20, 30, 3), np.uint8))
    assert "blank: every voxel" in str(refusal(conversion, *scan.channels))


def test_the_file_that_is_wrong_among_channels_is_named(tmp_path, find):
    (tmp_path / "data").mkdir()
    data_set = volumes(tmp_path / "data")
    conversion = data_set.conversion
    image = find(data_set.source, conversion)[0]
    other = nib.load(image.channels[1])
    nib.save(nib.Nifti1Image(np.asanyarray(other.dataobj), np.diag([5, 5, 5, 1.0])), image.channels[1])
    assert "p1_t1.nii.gz: " in str(refusal(conversion, *image.channels))


def test_ranges_that_transunets_files_do_not_have_are_refused(tmp_path, find):
    (tmp_path / "data").mkdir()
    data_set = transunet(tmp_path / "data")
    conversion = data_set.conversion
    image = find(data_set.source, conversion)[0]
    np.savez_compressed(image.channels[0], image=np.full((9, 8), 7.0))
    assert "expected 0 to 1 as in TransUNet's files" in str(refusal(conversion, *image.channels))


def test_a_lack_of_memory_costs_one_image(tmp_path, find, monkeypatch):
    (tmp_path / "data").mkdir()
    data_set = isic(tmp_path / "data")
    conversion = data_set.conversion

    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("nnunet_mamba.data.unlabelled.image_reading.load_pictures", fail)
    first = find(data_set.source, conversion)[0]
    assert "larger than the memory that is left" in str(refusal(conversion, *first.channels))


def test_other_formats_of_a_ct_are_read_as_well(tmp_path, find):
    (tmp_path / "data").mkdir()
    data_set = ct(tmp_path / "data")
    conversion = data_set.conversion
    source = find(data_set.source, conversion)[0]
    expected = read_image(source, conversion)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(source.channels[0])), str(tmp_path / "a.mha"))
    image = read_image(case(tmp_path / "a.mha"), conversion)
    assert np.array_equal(image.channels, expected.channels)
    assert image.spacing == expected.spacing
    assert np.allclose(image.source["affine"], expected.source["affine"])
