"""Masks of somebody's own folder, converted and brought back."""

import json
import math
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.converters.folder import convert_folder
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import restore_masks
from nnunet_mamba.data.restoring.source_agreement import compare_with_source
from nnunet_mamba.data.sources.pattern_source import Source


def read(path):
    return np.asarray(Image.open(path)) if path.suffix == ".png" else np.asanyarray(nib.load(path).dataobj)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def convert(tmp_path):
    """Convert one case with a mask, and return the raw data set and the mask's file."""

    def run(mask, **options):
        image = np.random.default_rng(1).integers(0, 255, mask.shape, dtype=np.uint8)
        for kind, array in (("images", image), ("masks", mask)):
            (tmp_path / kind).mkdir()
            if mask.ndim == 2:
                Image.fromarray(array).save(tmp_path / kind / "a.png")
            else:
                nib.save(nib.Nifti1Image(array, np.diag([-1, -1, 2, 1.0])), tmp_path / kind / "a.nii.gz")
        raw = tmp_path / "raw"
        options = FolderOptions(**options)
        convert_folder(Source(images=tmp_path), raw, options=options)
        return raw, next((tmp_path / "masks").iterdir())

    return run


def restore(predictions, raw, output):
    restore_masks(predictions, read_converted_dataset(raw, predictions), output)
    return output


def compare(predictions, raw):
    (found,) = compare_with_source(predictions, read_converted_dataset(raw, predictions))
    return found


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("shape", [(12, 16), (4, 5, 6)], ids=["picture", "volume"])
def test_what_is_to_be_ignored_comes_back_and_does_not_count(convert, rng, tmp_path, shape, sigmoid):
    values = np.array([0, 255, 128], np.uint8)
    labels = LabelValues.of({"background": 0, "lesion": 255, "ignore": 128})
    raw, mask = convert(values[rng.integers(0, 3, shape)], labels=labels, sigmoid=sigmoid)
    restored = restore(raw / "labelsTr", raw, tmp_path / "restored")
    assert np.array_equal(read(restored / mask.name), read(mask))
    assert compare(raw / "labelsTr", raw).dice == {"lesion": 1}
    predictions = shutil.copytree(raw / "labelsTr", tmp_path / "predictions")
    file = next(predictions.iterdir())
    everywhere = np.ones(shape, np.uint8)
    if len(shape) == 2:
        Image.fromarray(everywhere).save(file)
    else:
        nib.save(nib.Nifti1Image(everywhere, nib.load(file).affine), file)
    n_lesion, n_background = np.count_nonzero(read(mask) == 255), np.count_nonzero(read(mask) == 0)
    expected = 2 * n_lesion / (2 * n_lesion + n_background)
    assert math.isclose(compare(predictions, raw).dice["lesion"], expected)


def test_a_data_set_that_was_told_to_ignore_later_is_restored_as_before(convert, rng, tmp_path):
    raw, mask = convert(rng.integers(0, 2, (12, 16), dtype=np.uint8) * np.uint8(255))
    content = json.loads((raw / "dataset.json").read_text())
    content["labels"]["ignore"] = 2
    (raw / "dataset.json").write_text(json.dumps(content))
    restored = restore(raw / "labelsTr", raw, tmp_path / "restored")
    assert np.array_equal(read(restored / mask.name), read(mask))


@pytest.mark.parametrize(("shape", "white"), [((12, 16), 255), ((4, 5, 6), 1)], ids=["picture", "volume"])
def test_masks_with_a_threshold_come_back_black_and_white_or_binary(convert, rng, tmp_path, shape, white):
    mask = rng.integers(0, 256, shape, dtype=np.uint8)
    raw, file = convert(mask, threshold=127)
    restored = restore(raw / "labelsTr", raw, tmp_path / "restored")
    assert np.array_equal(read(restored / file.name), (mask > 127) * white)
    assert compare(raw / "labelsTr", raw).dice == {"foreground": 1}
