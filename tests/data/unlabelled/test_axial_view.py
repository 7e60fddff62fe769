from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.data.unlabelled.axial_view import as_radiologists_look
from nnunet_mamba.data.unlabelled.image_conversion import ImageKind
from nnunet_mamba.data.unlabelled.image_reading import ReadImage

SPACING = (4.0, 2.0, 3.0)  # mm along z, y, x
VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
# x to the left, y to the back, z up: slices as radiologists look at them.
LPS = np.diag([-3.0, -2.0, 4.0, 1.0])


def image_of(affine, spacing=SPACING):
    source = {"shape": list(VOXELS.shape)} if affine is None else {"affine": np.asarray(affine).tolist()}
    return ReadImage(channels=VOXELS[None], spacing=spacing, source=source, files=(Path("a.nii.gz"),))


@pytest.mark.parametrize("codes", ["LPS", "RAS", "ASR", "SLP", "PIR"])
def test_axial_slices_have_the_front_up_and_the_right_side_on_the_left(codes):
    volume = nib.Nifti1Image(VOXELS.T, LPS)
    orientations = nib.orientations
    turn = orientations.ornt_transform(nib.io_orientation(LPS), orientations.axcodes2ornt(codes))
    turned = volume.as_reoriented(turn)
    stored = np.asarray(turned.dataobj).T
    spacing = tuple(float(size) for size in turned.header.get_zooms())[::-1]
    shown, label_map, shown_spacing = as_radiologists_look(stored, stored + 1, image_of(turned.affine, spacing))
    assert np.array_equal(shown, VOXELS)
    assert np.array_equal(label_map, VOXELS + 1)
    assert shown_spacing == SPACING


def test_a_scan_that_tells_no_place_is_shown_as_it_is_stored():
    shown, label_map, spacing = as_radiologists_look(VOXELS, VOXELS, image_of(None))
    assert shown is label_map is VOXELS
    assert spacing == SPACING


def test_of_the_scans_of_three_sequences_flair_is_shown():
    assert {kind: kind.shown_channel for kind in ImageKind if kind.shown_channel} == {ImageKind.LGG_VOLUMES: 1}
