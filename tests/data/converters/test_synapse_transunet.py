import io
import zipfile

import numpy as np
import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.synapse_organs import OrganNumbers
from nnunet_mamba.data.converters.synapse_transunet import TransUNetConverter
from nnunet_mamba.data.formats.nifti_files import read_nifti

NUMBERS = OrganNumbers(("aorta", "liver"), {"liver": 5, "stomach": 6, "aorta": 7})
SHAPE = (4, 6, 5)  # (z, y, x)


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)


@pytest.fixture
def label():
    return np.random.default_rng(1).choice([0.0, 5.0, 6.0, 7.0], SHAPE).astype(np.float32)


@pytest.fixture
def converter():
    return TransUNetConverter(NUMBERS, spacing=(3.0, 0.75, 0.5))


@pytest.fixture
def sliced(tmp_path, image, label):
    paths = tuple(tmp_path / f"case0005_slice{number:03d}.npz" for number in range(len(image)))
    for path, one, its_label in zip(paths, image, label, strict=True):
        np.savez_compressed(path, image=one, label=its_label)
    return Case(identifier="case0005", channels=paths, mask=paths[0])


@pytest.fixture
def volume(tmp_path, image, label):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    path = tmp_path / "case0001.npy.h5"
    with h5py.File(path, "w") as file:
        file["image"], file["label"] = image, label
    return Case(identifier="case0001", channels=(path,), mask=path)


def check_written(converter, case, image, label, folder):
    for name, array in zip(("image", "label"), converter.read(case), strict=True):
        converter.write(folder / f"{name}.nii.gz", array)
    written = read_nifti(folder / "image.nii.gz")
    assert written.voxels.dtype == np.float32
    assert np.array_equal(written.voxels, image)
    assert written.spacing.tolist() == [0.5, 0.75, 3.0]
    its_label = read_nifti(folder / "label.nii.gz")
    assert its_label.voxels.dtype == np.uint8
    assert np.array_equal(its_label.voxels, np.select([label == 7, label == 5], [1, 2], 0))
    assert np.array_equal(its_label.affine, written.affine)


def test_slices_are_stacked_in_order_without_a_change(converter, sliced, image, label, tmp_path):
    checked = converter.check(sliced)
    assert checked.problems == ()
    assert checked.source == {
        "shape": list(SHAPE),
        "voxels": {"aorta": int((label == 7).sum()), "liver": int((label == 5).sum())},
    }
    check_written(converter, sliced, image, label, tmp_path)


def test_volumes_are_kept_as_they_are(converter, volume, image, label, tmp_path):
    assert converter.check(volume).problems == ()
    check_written(converter, volume, image, label, tmp_path)


def test_a_volume_and_its_slices_have_one_digest(converter, volume, sliced):
    assert converter.check(volume).digest == converter.check(sliced).digest


def test_images_without_labels(converter, sliced):
    case = Case(identifier="case0005", channels=sliced.channels, is_training=False)
    assert converter.check(case).foreground is None
    assert len(converter.read(case)) == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((6, 5))}, "expected arrays image and label"),
        ({"image": np.zeros((6, 4)), "label": np.zeros((6, 4))}, r"image of shape \(6, 4\), expected \(6, 5\)"),
        ({"image": np.zeros((6, 5)), "label": np.zeros((5, 6))}, r"label of shape \(5, 6\), expected \(6, 5\)"),
        ({"image": np.zeros((6, 5), "U1"), "label": np.zeros((6, 5))}, "image of type <U1"),
        ({"image": np.full((6, 5), 1.5), "label": np.zeros((6, 5))}, "values from .* to 1.5, expected 0 to 1"),
        ({"image": np.full((6, 5), -125), "label": np.zeros((6, 5))}, "values from -125 to"),
        ({"image": np.full((6, 5), np.nan), "label": np.zeros((6, 5))}, "30 voxels are NaN"),
        ({"image": np.zeros((6, 5)), "label": np.full((6, 5), 0.5)}, "no whole numbers"),
        ({"image": np.zeros((6, 5)), "label": np.full((6, 5), 8)}, r"label values 8 \(30 voxels\), expected 0 to 7"),
    ],
)
def test_refuses_slices_that_do_not_fit(converter, sliced, arrays, message):
    np.savez_compressed(sliced.channels[2], **arrays)
    checked = converter.check(sliced)
    (problem,) = checked.problems
    assert checked.digest is None
    with pytest.raises(ValueError, match=message):
        raise ValueError(str(problem))


def test_refuses_a_single_slice_of_a_volume(converter, sliced, image, label):
    np.savez_compressed(sliced.channels[0], image=image, label=label)
    (problem,) = converter.check(sliced).problems
    assert "image of shape (4, 6, 5), expected 2 axes" in problem.text


def test_refuses_a_blank_image(converter, sliced):
    for path in sliced.channels:
        np.savez_compressed(path, image=np.zeros((6, 5)), label=np.full((6, 5), 5))
    assert "blank" in converter.check(sliced).problems[0].text


def test_refuses_pickles(converter, sliced):
    np.savez(sliced.channels[1], image=np.array([{}]), label=np.zeros((6, 5)))
    (problem,) = converter.check(sliced).problems
    assert "unreadable" in problem.text
    assert "slice001" in problem.text


def test_damaged_slices_are_named_and_none_gets_through(converter, sliced):
    path = sliced.channels[1]
    content = path.read_bytes()
    digest = converter.check(sliced).digest
    rng = np.random.default_rng(2)
    n_refused = 0
    for position in rng.integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        checked = converter.check(sliced)
        n_refused += bool(checked.problems)
        assert checked.problems or checked.digest == digest
    for length in rng.integers(0, len(content), 20):
        path.write_bytes(content[:length])
        (problem,) = converter.check(sliced).problems
        assert "slice001" in problem.text
    assert n_refused >= 20


def test_damaged_volumes_are_problems(converter, volume):
    path = volume.channels[0]
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"no HDF5 file" * 100):
        path.write_bytes(damaged)
        assert "unreadable" in converter.check(volume).problems[0].text


def test_a_file_that_changed_after_the_check_is_named(converter, sliced):
    sliced.channels[3].write_bytes(b"")
    with pytest.raises(ValueError, match=r"case0005: unreadable.*slice003"):
        converter.read(sliced)


def test_names_the_package_that_is_missing(converter, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "case0001.npy.h5"
    path.write_bytes(b"x")
    (problem,) = converter.check(Case(identifier="case0001", channels=(path,), mask=path)).problems
    assert "pip install h5py" in problem.text


def only_text(converter, case):
    (problem,) = converter.check(case).problems
    return problem.text


def test_labels_that_miss_whole_numbers_by_a_little_are_taken_and_counted(converter, sliced, image, label):
    expected = converter.read(sliced)[1]
    for path, one, its_label in zip(sliced.channels, image, label, strict=True):
        np.savez_compressed(path, image=one, label=its_label.astype(np.float64) + 2e-10)
    checked = converter.check(sliced)
    assert checked.problems == ()
    assert checked.n_rounded == label.size
    assert np.array_equal(converter.read(sliced)[1], expected)


def test_an_array_that_claims_more_than_its_file_holds_is_told(converter, sliced):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (300000, 300000)})
    with zipfile.ZipFile(sliced.channels[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", header.getvalue() + bytes(100))
        archive.writestr("label.npy", header.getvalue() + bytes(100))
    assert "image: it says that it holds 335 GiB, which" in only_text(converter, sliced)


def test_volumes_larger_than_the_memory_are_refused_by_what_they_say(converter, volume):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(volume.channels[0], "w") as file:
        for name in ("image", "label"):
            # Nothing of it is stored.
            file.create_dataset(name, (300000, 3000, 3000), "f4", chunks=(1, 512, 512))
    assert "GiB of memory" in only_text(converter, volume)


@pytest.mark.parametrize("content", [{"image": 3}, {"image": "text", "label": "text"}, {}])
def test_other_content_is_told(converter, volume, content):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(volume.channels[0], "w") as file:
        for name, value in content.items():
            file[name] = value
    assert only_text(converter, volume)
