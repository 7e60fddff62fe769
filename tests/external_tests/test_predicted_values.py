import nibabel
import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.dataset_json import dataset_json_in
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.evaluation.label_map_reading import label_map_reader
from nnunet_mamba.evaluation.label_pictures import NoLabelMapError
from nnunet_mamba.evaluation.plain_masks import PlainMaskReader
from nnunet_mamba.external_tests.predicted_values import TranslatingReader, values_in_references


def _conversion(labels, source_labels=None):
    return ImageConversion(
        kind=ImageKind.PHOTOGRAPHS,
        channel_names=("R", "G", "B"),
        labels=labels,
        source_labels=source_labels or {},
    )


def _dataset(labels, **content):
    return dataset_json_in({"labels": labels, "file_ending": ".png", **content})


def _values(labels, dataset, source_labels=None, **content):
    model = dataset_json_in({"labels": labels, "file_ending": ".png", **content}).labels
    numbers = dict(labels)
    if model.has_regions:
        numbers = {"background": 0, **dict(zip(model.foreground, model.regions_class_order, strict=True))}
    return values_in_references(_conversion(numbers, source_labels), model, dataset, name="model")


def test_the_one_label_of_a_model_is_white_whatever_its_masks_hold():
    labels = {"background": 0, "lesion": 1}
    assert _values(labels, None, {"background": (0,), "lesion": (255,)}) == {0: 0, 255: 1}
    assert _values(labels, None) == {0: 0, 1: 1}


def test_labels_of_equal_names_get_the_numbers_of_the_references():
    dataset = _dataset({"background": 0, "core": 1, "edge": 2})
    assert _values({"background": 0, "edge": 1, "core": 2}, dataset) == {0: 0, 1: 2, 2: 1}


def test_several_labels_are_no_black_and_white_masks():
    with pytest.raises(ValueError, match="model has the labels core, edge, and the references are black and white"):
        _values({"background": 0, "edge": 1, "core": 2}, None)


def test_other_labels_than_those_of_the_references_are_refused():
    with pytest.raises(ValueError, match="model has the labels lesion, and the references have naevus"):
        _values({"background": 0, "lesion": 1}, _dataset({"background": 0, "naevus": 1}))


def test_regions_of_other_values_are_refused():
    order = {"regions_class_order": [1, 2]}
    dataset = _dataset({"background": 0, "whole": [1, 2], "core": [2]}, **order)
    assert _values({"background": 0, "whole": [1, 2], "core": [2]}, dataset, **order) == {0: 0, 1: 1, 2: 2}
    with pytest.raises(ValueError, match="made of other values"):
        _values({"background": 0, "whole": [1, 2], "core": [1]}, dataset, **order)


def test_masks_in_colours_are_refused():
    source = {"background": ("#000000",), "lesion": ("#ff0000",)}
    with pytest.raises(ValueError, match="writes masks in colours"):
        _values({"background": 0, "lesion": 1}, None, source)


@pytest.fixture
def reader(tmp_path):
    for name, values in (("predicted", (0, 3)), ("reference", (0, 255))):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array([values], np.uint8)).save(tmp_path / name / "a.png")
    return TranslatingReader(reader=PlainMaskReader(), predictions=tmp_path / "predicted", values={0: 0, 3: 1})


def test_masks_and_references_are_read_in_the_same_numbers(reader, tmp_path):
    for name in ("predicted", "reference"):
        assert reader.read_seg(str(tmp_path / name / "a.png"))[0].tolist() == [[[[0, 1]]]]


def test_a_value_that_the_model_does_not_write_is_refused(reader, tmp_path):
    Image.fromarray(np.array([[0, 4]], np.uint8)).save(tmp_path / "predicted/a.png")
    with pytest.raises(NoLabelMapError, match="has the values 4, which the model does not write"):
        reader.read_seg(str(tmp_path / "predicted/a.png"))


def test_volumes_are_read_in_the_numbers_of_the_references(tmp_path):
    content = {"labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}}
    dataset = dataset_json_in(content)
    (tmp_path / "predicted").mkdir()
    file = tmp_path / "predicted/a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((2, 3, 4), 6, np.uint8), np.eye(4)), file)
    reader = label_map_reader(dataset, file)
    translating = TranslatingReader(reader=reader, predictions=file.parent, values={0: 0, 6: 1})
    voxels, properties = translating.read_seg(str(file))
    assert voxels.shape == (1, 4, 3, 2)
    assert (voxels == 1).all()
    assert properties == reader.read_seg(str(file))[1]
