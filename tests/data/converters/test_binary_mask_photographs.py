from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import PhotographConverter, PhotographOptions
from nnunet_mamba.data.writing.run_options import RunOptions


@pytest.fixture
def case(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    mask = np.zeros((20, 40), np.uint8)
    mask[4:12, 8:24] = 255
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    return Case(identifier="a", channels=(tmp_path / "a.png",), mask=tmp_path / "a_mask.png")


def test_good_case_has_no_problems_and_its_size_is_told(case):
    checked = PhotographConverter(size=(256, 256)).check(case)

    assert checked.problems == ()
    assert checked.source == {"shape": [20, 40]}
    assert checked.foreground == pytest.approx(np.asarray(Image.open(case.mask)).astype(bool).mean())


def test_equal_pictures_have_equal_digests(case, tmp_path):
    converter = PhotographConverter(size=None)
    copy = replace(case, channels=(tmp_path / "copy.bmp",))
    Image.open(case.channels[0]).save(copy.channels[0])
    other = replace(case, channels=(tmp_path / "other.png",))
    Image.open(case.channels[0]).rotate(180).save(other.channels[0])

    digests = [converter.check(one).digest for one in (case, copy, other)]

    assert digests[0] == digests[1] != digests[2]


def test_reads_image_and_label_in_the_same_place(case):
    image, label = PhotographConverter(size=(10, 20)).read(case)
    assert image.shape == (10, 20, 3)
    assert label.tolist() == np.pad(np.ones((4, 8), int), ((2, 4), (4, 8))).tolist()


def test_mask_is_thresholded_before_it_is_resized(case):
    # Bright stripes every other column: averaged first they would be below the threshold everywhere.
    mask = np.zeros((20, 40), np.uint8)
    mask[:, 1::2] = 200
    Image.fromarray(mask).save(case.mask)
    assert PhotographConverter(size=(10, 20)).read(case)[1].all()


def test_lesion_that_vanishes_is_a_problem(case):
    mask = np.zeros((20, 40), np.uint8)
    mask[0, 0] = 255
    Image.fromarray(mask).save(case.mask)
    problems = PhotographConverter(size=(5, 5)).check(case).problems
    assert "1 labelled pixels, and none of them is left" in str(problems[0])


def test_both_files_of_a_case_are_reported(case):
    case.mask.write_bytes(b"")
    case.channels[0].write_bytes(b"")
    problems = PhotographConverter(size=None).check(case).problems
    assert [problem.file for problem in problems] == [case.mask, case.channels[0]]


def test_file_that_changes_after_the_check_is_named(case):
    Image.new("L", (41, 20), 255).save(case.mask)
    with pytest.raises(ValueError, match="the mask has 41x20 pixels, its image 40x20"):
        PhotographConverter(size=None).read(case)
    case.mask.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a: the file is empty .*a_mask.png"):
        PhotographConverter(size=None).read(case)


def test_recorded_options_are_those_that_change_pixels():
    other = PhotographOptions(run=RunOptions(jobs=3), allow_empty_masks=True)
    assert other.recorded("lesion") == PhotographOptions().recorded("lesion")
    assert PhotographOptions(size=None).recorded("lesion") != PhotographOptions().recorded("lesion")
