import re

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.evaluation.label_pictures import NoLabelMapError
from nnunet_mamba.evaluation.plain_masks import PlainMaskReader, are_plain_masks, paired_masks


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def lesion(first=2, last=6, white=255):
    pixels = np.zeros((12, 10), np.uint8)
    pixels[first:last, 2:8] = white
    return pixels


@pytest.fixture
def folders(tmp_path):
    """Masks such as predict writes, and such as ISIC publishes."""
    for name, shift in (("ISIC_1", 0), ("ISIC_2", 2)):
        save(tmp_path / "predictions" / f"{name}.png", lesion(2 + shift, 6 + shift))
        save(tmp_path / "masks" / f"{name}_segmentation.png", lesion())
    return tmp_path


def evaluate(folders, **options):
    return evaluate_folders(folders / "predictions", folders / "masks", processes=1, **options)


def test_black_and_white_masks_are_scored_as_one_label_without_a_dataset_json(folders):
    (scores,) = evaluate(folders).scores
    assert (scores.label, scores.n_cases) == ("foreground", 2)
    assert scores.mean_case_dice == pytest.approx((1 + 0.5) / 2)
    assert scores.pooled.dice == pytest.approx(0.75)


def test_cases_are_called_without_the_suffix_of_references(folders):
    save(folders / "masks" / "ISIC_2_segmentation.png", np.zeros((12, 10), np.uint8))
    assert [case.identifier for case in evaluate(folders).cases] == ["ISIC_1", "ISIC_2"]


def test_files_of_several_formats_and_depths_are_the_same_mask(folders):
    expected = evaluate(folders).cases
    (folders / "predictions" / "ISIC_1.png").unlink()
    save(folders / "predictions" / "ISIC_1.bmp", lesion() > 0)
    (folders / "masks" / "ISIC_2_segmentation.png").unlink()
    save(folders / "masks" / "ISIC_2_Segmentation.png", np.stack([lesion()] * 3, -1))
    assert evaluate(folders).cases == expected


@pytest.mark.parametrize(
    ("pixels", "text"),
    [
        (np.where(lesion() > 0, 127, 0).astype(np.uint8), "has the values 127, expected 0 and 255"),
        (lesion().astype(np.float32) / 510, "has the values 0.5, expected 0 and 255"),
        (np.where(lesion() > 0, np.nan, 0).astype(np.float32), "has the values nan, expected 0 and 255"),
        (np.stack([lesion(), lesion(), lesion(0, 1)], -1), "has 3 channels that differ"),
    ],
    ids=["grey", "float", "nan", "rgb"],
)
def test_other_values_are_refused_with_their_place_and_a_way_out(folders, pixels, text):
    (folders / "predictions" / "ISIC_2.png").unlink()
    path = save(folders / "predictions" / "ISIC_2.tif", pixels)
    with pytest.raises(ValueError, match=rf"ISIC_2\.tif: the prediction {text}[^\n]*\({re.escape(str(path))}\)$"):
        evaluate(folders)


def test_masks_of_other_sizes_are_refused(folders):
    save(folders / "predictions" / "ISIC_2.png", lesion()[:-1])
    with pytest.raises(ValueError, match=r"prediction is \(1, 11, 10\), label is \(1, 12, 10\)"):
        evaluate(folders)


def test_missing_masks_are_listed_and_may_be_allowed(folders):
    save(folders / "masks" / "ISIC_3_segmentation.png", lesion())
    with pytest.raises(FileNotFoundError, match=r"1 label .*\n  ISIC_3_segmentation\.png\n.*`allow_missing=True`\.$"):
        evaluate(folders)
    assert len(evaluate(folders, allow_missing=True).cases) == 2
    save(folders / "predictions" / "ISIC_4.png", lesion())
    with pytest.raises(FileNotFoundError, match=r"1 prediction .* has no label in .*\n  ISIC_4\.png$"):
        evaluate(folders, allow_missing=True)


def test_two_files_of_one_case_are_refused(folders):
    save(folders / "predictions" / "isic_1_segmentation.bmp", lesion())
    with pytest.raises(ValueError, match=r"several files of one case:\n  ISIC_1\.png and isic_1_segmentation\.bmp\n"):
        evaluate(folders)


def test_swapped_folders_are_told(folders):
    with pytest.raises(
        ValueError, match=r"look swapped: .* such as ISIC_1_segmentation\.png\. Name .* as the folder of pred"
    ):
        paired_masks(folders / "masks", folders / "predictions")


def test_a_folder_without_pictures_is_named(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds no masks, expected pictures"):
        paired_masks(tmp_path / "empty", folders / "masks")


@pytest.mark.parametrize(("white", "are_plain"), [(255, True), (1, False), (2, False)])
def test_the_first_mask_with_something_in_it_tells_masks_from_label_maps(tmp_path, white, are_plain):
    save(tmp_path / "a.png", lesion(white=0))
    (tmp_path / "b.png").write_bytes(b"damaged")
    save(tmp_path / "c.png", lesion(white=white))
    assert are_plain_masks(tmp_path) is are_plain


def test_a_folder_of_label_maps_still_needs_its_dataset_json(folders):
    for path in (folders / "masks").iterdir():
        save(path, lesion(white=1))
    with pytest.raises(FileNotFoundError, match=r"dataset\.json does not exist: .* `dataset_json=FILE`$"):
        evaluate(folders)


def test_the_reader_gives_zeros_and_ones(tmp_path):
    label_map, place = PlainMaskReader().read_seg(str(save(tmp_path / "a.png", lesion())))
    assert (label_map.shape, place) == ((1, 1, 12, 10), {})
    assert np.unique(label_map).tolist() == [0, 1]
    with pytest.raises(NoLabelMapError, match="has the values 3, expected 0 and 255"):
        PlainMaskReader().read_seg(str(save(tmp_path / "b.png", lesion(white=3))))


@pytest.mark.parametrize("suffix", ["_seg", "_label", "_Seg"])
def test_masks_that_a_program_calls_so_belong_to_the_reference_of_their_image(tmp_path, suffix):
    for folder, name in (("predictions", f"a{suffix}.png"), ("references", "a.png")):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / folder / name)
    found = paired_masks(tmp_path / "predictions", tmp_path / "references")
    assert [(case.identifier, case.prediction.name) for case in found] == [("a", f"a{suffix}.png")]
