import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.report.contents.case_panels import CaseFolders, UndrawableCaseError, draw_case
from nnunet_mamba.report.contents.chosen_cases import ChosenCase

CASE = ChosenCase(identifier="a", why="worst", dice=(0.5, 0.25))


@pytest.fixture
def folders(tmp_path):
    def make(ending, write, *, images):
        paths = {name: tmp_path / name for name in ("images", "references", "A", "B")}
        for path in paths.values():
            path.mkdir()
        write(paths["images"] / f"a_0000{ending}", images)
        for name in ("references", "A", "B"):
            label_map = np.zeros(images.shape if ending == ".nii.gz" else images.shape[:2], np.uint8)
            place = {"references": 1, "A": 2, "B": 3}[name]
            label_map[..., place : place + 3, 2:5] = 1
            if label_map.ndim == 3:
                label_map[0] = 0
            write(paths[name] / f"a{ending}", label_map)
        return CaseFolders(
            images=paths["images"],
            references=paths["references"],
            predictions={name: {"a": paths[name]} for name in "AB"},
            file_ending=ending,
        )

    return make


def write_picture(path, pixels):
    Image.fromarray(pixels).save(path)


def write_volume(path, voxels):
    image = nib.Nifti1Image(np.asarray(voxels).transpose(2, 1, 0), np.diag([1.0, 2.0, 5.0, 1.0]))
    image.to_filename(path)


def test_a_photograph_has_the_outlines_of_all_models(folders):
    panel = draw_case(CASE, folders(".png", write_picture, images=np.full((10, 20, 3), 90, np.uint8)))
    assert (panel.width, panel.height, panel.aspect, panel.slice_text) == (20, 10, 2.0, "")
    assert panel.image.startswith("data:image/jpeg;base64,")
    assert len({panel.reference, *panel.predictions}) == 3
    assert "M" in panel.reference


def test_a_volume_shows_its_fullest_slice_in_its_shape(folders):
    voxels = np.arange(3 * 8 * 10, dtype=np.int16).reshape(3, 8, 10)
    panel = draw_case(CASE, folders(".nii.gz", write_volume, images=voxels))
    assert (panel.width, panel.height, panel.slice_text) == (10, 8, "slice 1")
    # 10 steps of 1 mm beside 8 of 2 mm.
    assert panel.aspect == pytest.approx(10 / 16)


@pytest.mark.parametrize("missing", ["images/a_0000.png", "A/a.png", "references/a.png"])
def test_a_missing_file_is_named(folders, tmp_path, missing):
    there = folders(".png", write_picture, images=np.zeros((10, 20, 3), np.uint8))
    (tmp_path / missing).unlink()
    with pytest.raises(UndrawableCaseError, match=missing):
        draw_case(CASE, there)


def test_another_size_is_refused(folders, tmp_path):
    there = folders(".png", write_picture, images=np.zeros((10, 20, 3), np.uint8))
    write_picture(tmp_path / "B" / "a.png", np.zeros((9, 20), np.uint8))
    with pytest.raises(UndrawableCaseError, match=r"has the shape \(10, 20, 3\), and a label map of it \(9, 20\)"):
        draw_case(CASE, there)
