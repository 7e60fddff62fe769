"""Headers that lie: each is told before memory is taken for what it speaks of."""

import gzip
import math
import struct

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.data.formats import declared_sizes, nifti_content
from nnunet_mamba.data.formats.nifti_files import VolumeError, read_nifti

NAN, INF = math.nan, math.inf


@pytest.fixture
def content():
    voxels = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    return bytearray(nib.Nifti1Image(voxels, np.diag([1, 2, 3, 1.0])).to_bytes())


def changed(content, place, form, *values):
    content[place : place + struct.calcsize(form)] = struct.pack(form, *values)
    return content


LIES = [
    (40, "<8h", (3, 30000, 30000, 30000, 1, 1, 1, 1), "which .* cannot become"),
    (40, "<8h", (3, 700, 700, 700, 1, 1, 1, 1), "which .* cannot become"),
    (40, "<8h", (3, 5, 6, 8, 1, 1, 1, 1), "its end is missing"),
    (40, "<8h", (3, -5, 6, 7, 1, 1, 1, 1), "shape -5x6x7, expected at least one voxel"),
    (40, "<8h", (3, 0, 6, 7, 1, 1, 1, 1), "shape 0x6x7, expected at least one voxel"),
    (40, "<8h", (9, 5, 6, 7, 1, 1, 1, 1), "has 9 dimensions, expected 3"),
    (40, "<8h", (5, 5, 6, 7, 1, 1, 1, 1), "shape 5x6x7x1x1, expected one volume of three dimensions"),
    (70, "<h", (1024,), "its end is missing"),
    (70, "<h", (77,), "voxels of type 77"),
    (108, "<f", (1e30,), "which .* cannot become"),
    (108, "<f", (NAN,), "voxels begin at byte nan"),
    (108, "<f", (INF,), "voxels begin at byte inf"),
    (108, "<f", (-352,), "voxels begin at byte -352"),
    (112, "<ff", (INF, 0), "multiplies the voxels by inf"),
    (112, "<ff", (2, NAN), "adds nan"),
    (280, "<12f", (NAN,) * 12, "affine cannot be inverted"),
    (280, "<12f", (0,) * 12, "affine cannot be inverted"),
    (344, "<4s", (b"ni1\0",), "the header of a pair of files"),
]


@pytest.mark.parametrize(("place", "form", "values", "message"), LIES)
def test_headers_that_lie_are_told(tmp_path, content, place, form, values, message):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(changed(content, place, form, *values))))
    with pytest.raises(VolumeError, match=message):
        read_nifti(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("scale", [(NAN, NAN), (0, 5)])
def test_a_slope_of_nan_or_zero_is_none(tmp_path, content, scale):
    (tmp_path / "a.nii").write_bytes(changed(content, 112, "<ff", *scale))
    assert read_nifti(tmp_path / "a.nii").voxels.max() == 209


def test_a_volume_that_unpacks_to_more_than_its_header_says_is_stopped(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(content) + bytes(3 * 2**20)))
    with pytest.raises(VolumeError, match=r"unpacks to more than the 1\.2 KiB that its header speaks of"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_few_bytes_behind_the_voxels_do_no_harm(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(content) + bytes(100)))
    assert read_nifti(tmp_path / "a.nii.gz").voxels.shape == (7, 6, 5)


def test_more_than_the_memory_is_refused_by_its_header(tmp_path, monkeypatch):
    voxels = np.zeros((300, 300, 300), np.uint8)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii.gz")
    monkeypatch.setattr(declared_sizes, "free_memory", lambda: 50 * 2**20)
    with pytest.raises(VolumeError, match="which need 77 MiB of memory, and 50 MiB are free"):
        read_nifti(tmp_path / "a.nii.gz")


def test_memory_that_runs_out_is_told(tmp_path, content, monkeypatch):
    (tmp_path / "a.nii").write_bytes(content)

    def fail(header, content):
        raise MemoryError

    monkeypatch.setattr(nifti_content, "_voxels", fail)
    with pytest.raises(VolumeError, match="larger than the memory that is left"):
        read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("name", "packed", "message"),
    [
        ("a.nii.gz", lambda content: gzip.compress(gzip.compress(content)), "packed twice with gzip; unpack it once"),
        ("a.nii", gzip.compress, "packed with gzip; let its name end with .nii.gz"),
        ("a.nii.gz", bytes, "not packed with gzip; let its name end with .nii"),
        ("a.nii.gz", lambda content: gzip.compress(content[:100]), "100 bytes, fewer than a NIfTI header has"),
        ("a.nii", lambda content: bytes(content[:-1]), "its end is missing"),
    ],
)
def test_files_packed_otherwise_than_they_are_called_are_told(tmp_path, content, name, packed, message):
    (tmp_path / name).write_bytes(packed(bytes(content)))
    with pytest.raises(VolumeError, match=message):
        read_nifti(tmp_path / name)


def test_both_byte_orders_are_read(tmp_path):
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = nib.Nifti1Image(voxels, np.diag([1, 2, 3, 1.0]))
    nib.Nifti1Image(voxels.astype(">i2"), image.affine, image.header.as_byteswapped(">")).to_filename(
        tmp_path / "a.nii"
    )
    assert np.array_equal(read_nifti(tmp_path / "a.nii").voxels, voxels.T)
