import json
from dataclasses import replace

import pytest
from data_sets import DATA_SETS, conversion_of, grey_pictures, isic, lgg, noise, save_picture, transunet, volumes

from nnunet_mamba.data.converters.folder import convert_folder
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.data.sources.pattern_source import Source
from nnunet_mamba.data.unlabelled.conversion_of_dataset import image_conversion
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, read_conversion_record

RGB = ("R", "G", "B")
BLACK_AND_WHITE = {"background": (0,), "lesion": (255,)}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def by_hand(tmp_path, **content):
    described = {"channel_names": {"0": "grey"}, "labels": {"background": 0, "x": 3}, "file_ending": ".png", **content}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    return image_conversion(None, read_dataset_json(tmp_path / "dataset.json"))


def test_photographs_are_resized_and_their_masks_black_and_white(root):
    assert isic(root).conversion == ImageConversion(
        kind=ImageKind.PHOTOGRAPHS,
        channel_names=RGB,
        labels={"background": 0, "lesion": 1},
        source_labels=BLACK_AND_WHITE,
        size=(32, 32),
    )


def test_scans_have_the_spacing_that_was_said_of_them(root):
    conversion = lgg(root, slice_thickness=6.1, pixel_spacing=0.9, sigmoid=True).conversion
    assert (conversion.kind, conversion.spacing) == (ImageKind.LGG_VOLUMES, (6.1, 0.9, 0.9))
    assert conversion.labels == {"background": 0, "tumour": 1}, "a region has the number of regions_class_order"
    assert conversion.source_labels == {"background": (0,), "tumour": (255,)}


def test_slices_are_resized(root):
    conversion = lgg(root, as_volumes=False, size=(16, 20)).conversion
    assert (conversion.kind, conversion.spacing, conversion.size) == (ImageKind.LGG_SLICES, None, (16, 20))


def test_volumes_are_found_by_what_tells_their_files_apart(root):
    conversion = volumes(root).conversion
    assert conversion.kind is ImageKind.VOLUMES
    assert conversion.channel_tokens == ("flair", "t1")
    assert conversion.source_labels == {"background": (0,), "oedema": (7,), "tumour": (300,)}


def test_transunets_volumes_have_a_spacing(root):
    conversion = transunet(root).conversion
    assert (conversion.kind, conversion.spacing) == (ImageKind.TRANSUNET_VOLUMES, (2.1, 0.9, 0.9))
    assert conversion.labels["aorta"] == 1
    assert conversion.source_labels["aorta"] == (7,)


def test_a_record_without_tokens_of_an_earlier_release_has_the_names_of_channels(root):
    raw = volumes(root).raw
    record = replace(read_conversion_record(raw), channel_tokens=())
    dataset = read_dataset_json(raw / "dataset.json")
    assert image_conversion(record, dataset).channel_tokens == ("flair", "t1")


@pytest.mark.parametrize("has_files", [True, False])
def test_three_channels_are_colours_only_where_an_image_is_one_file(root, has_files):
    if has_files:
        raw = grey_pictures(root, channels=("_R", "_G", "_B")).raw
    else:
        for name in "ab":
            save_picture(root / "images" / f"{name}.png", noise(ord(name), (20, 30, 3)))
            save_picture(root / "masks" / f"{name}.png", noise(ord(name), (20, 30)) // 128 * 255)
        raw = root.parent / "raw"
        convert_folder(Source(images=root), raw, options=FolderOptions())
    for record in (read_conversion_record(raw), replace(read_conversion_record(raw), channel_tokens=())):
        conversion = image_conversion(record, read_dataset_json(raw / "dataset.json"))
        assert conversion.kind is (ImageKind.GREY_PICTURES if has_files else ImageKind.PHOTOGRAPHS)
        assert set(conversion.channel_tokens) == ({"R", "G", "B"} if has_files else set())


def test_masks_with_a_threshold_are_written_black_and_white(root):
    for name in "ab":
        save_picture(root / "images" / f"{name}.png", noise(ord(name), (20, 30)))
        save_picture(root / "masks" / f"{name}.png", noise(ord(name), (20, 30)))
    raw = root.parent / "raw"
    convert_folder(Source(images=root), raw, options=FolderOptions(threshold=127))
    conversion = conversion_of(raw)
    assert conversion.threshold == 127
    assert conversion.source_labels == {"background": (0,), "foreground": (255,)}


@pytest.mark.parametrize(
    ("content", "kind", "tokens"),
    [
        ({}, ImageKind.GREY_PICTURES, ("0000",)),
        ({"file_ending": ".bmp", "channel_names": {"0": "R", "1": "G", "2": "B"}}, ImageKind.PHOTOGRAPHS, ("0000",)),
        ({"file_ending": ".tif", "channel_names": {"1": "b", "0": "a"}}, ImageKind.GREY_PICTURES, ("0000", "0001")),
        ({"file_ending": ".nii.gz"}, ImageKind.VOLUMES, ("0000",)),
        ({"file_ending": ".nrrd", "channel_names": {"0": "a", "1": "b"}}, ImageKind.VOLUMES, ("0000", "0001")),
    ],
)
def test_a_data_set_made_by_hand_is_read_as_nnunet_reads_it(tmp_path, content, kind, tokens):
    conversion = by_hand(tmp_path, **content)
    assert (conversion.kind, conversion.channel_tokens, conversion.size) == (kind, tokens, None)
    assert (conversion.labels, conversion.source_labels) == ({"background": 0, "x": 3}, {})
    assert conversion.is_by_hand
    if len(conversion.channel_names) == 2:
        assert conversion.channel_names == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"channel_names": {}}, r'"channel_names" is \{\}, expected a name for each number from "0"'),
        ({"channel_names": ["R"]}, '"channel_names" is'),
        ({"channel_names": {"1": "R"}}, '"channel_names" is'),
        (
            {"file_ending": ".npz"},
            r'"file_ending" is \'.npz\', expected one of .png, .*predict .* with nnUNetv2_predict',
        ),
        ({"overwrite_image_reader_writer": "NibabelIOWithReorient"}, "read with NibabelIOWithReorient, which changes"),
        ({"overwrite_image_reader_writer": "Tiff3DIO", "file_ending": ".tif"}, "predict them with nnUNetv2_predict"),
    ],
)
def test_what_cannot_be_read_as_nnunet_does_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        by_hand(tmp_path, **content)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "nan"}, f"{RECORD_FILE} is damaged: size 'nan'"),
        ({"source_labels": 3}, "is damaged: source_labels are 3"),
        ({"threshold": "x"}, "is damaged: threshold is 'x'"),
        ({"source_labels": {"background": 0}}, "knows no value of the source for lesion"),
        ({"source_labels": {"background": 0, "lesion": 70000}}, "pictures hold 0 to 65535"),
        ({"as": "volumes", "slice_thickness": "x"}, "is damaged: spacing"),
        ({"form": "RawData"}, "do not fit together: channel_names are 3, expected 1"),
    ],
)
def test_a_damaged_record_is_told(root, options, message):
    raw = isic(root).raw
    record = read_conversion_record(raw)
    damaged = replace(record, options={**record.options, **options})
    with pytest.raises(ValueError, match=message):
        image_conversion(damaged, read_dataset_json(raw / "dataset.json"))


def test_every_way_of_converting_is_known(tmp_path):
    """None of them is taken for a data set that was made by hand."""
    for name, make in DATA_SETS.items():
        folder = tmp_path / name / "data"
        folder.mkdir(parents=True)
        assert not make(folder).conversion.is_by_hand
