"""A folder that holds the parts of an ISIC challenge under their official names."""

import logging
import shutil

import pytest

from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic
from nnunet_mamba.data.writing.run_options import RunOptions

NAMES = {
    "2016": {
        "training": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
        "test": ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
    },
    "2017": {
        "training": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        "validation": ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
        "test": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    },
    "2018": {
        "training": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),
        "validation": ("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth"),
        "test": ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),
    },
}
CASES = {"training": ("ISIC_1", "ISIC_2"), "validation": ("ISIC_3",), "test": ("ISIC_4", "ISIC_5")}


@pytest.fixture
def challenge(draw_part, tmp_path):
    def draw(year="2017", *, roles=("training", "validation", "test")):
        root = tmp_path / "challenge"
        for role in roles:
            if role in NAMES[year]:
                images, masks = NAMES[year][role]
                draw_part(root / images, root / masks, [f"{name}{year}" for name in CASES[role]])
        return root

    return draw


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "Dataset101_ISIC"


@pytest.fixture
def notes(caplog):
    caplog.set_level(logging.INFO, logger="nnunet_mamba")
    return lambda: [record.getMessage() for record in caplog.records]


def parts(done):
    return {
        part: [case.identifier for case in done.cases if case.is_training is (part == "Tr")] for part in ("Tr", "Ts")
    }


@pytest.mark.parametrize(("year", "n_training"), [("2016", 2), ("2017", 3), ("2018", 3)])
def test_takes_all_parts_of_a_challenge_and_says_for_what(challenge, target, notes, year, n_training):
    done = convert_isic(challenge(year), None, target)
    assert (done.n_training, done.n_test, done.n_test_labels) == (n_training, 2, 2)
    assert len(list((target / "labelsTs").iterdir())) == 2
    images, masks = NAMES[year]["test"]
    assert f"test cases: {images} and {masks}" in notes()


def test_part_that_is_given_by_name_counts(challenge, draw_part, tmp_path, target):
    draw_part(tmp_path / "own", tmp_path / "own_masks", ["ISIC_9"])
    done = convert_isic(challenge(), None, target, test_images=tmp_path / "own", test_masks=tmp_path / "own_masks")
    assert parts(done)["Ts"] == ["ISIC_9"]


def test_folders_that_unpacking_has_nested_are_entered(challenge, target, tmp_path):
    root = challenge()
    for folder in list(root.iterdir()):
        folder.rename(root / "inner")
        folder.mkdir()
        (root / "inner").rename(folder / folder.name)
    (tmp_path / "outer").mkdir()
    root.rename(tmp_path / "outer" / "challenge")
    done = convert_isic(tmp_path / "outer", None, target)
    assert (done.n_training, done.n_test_labels) == (3, 2)


def test_several_challenges_are_not_mixed(challenge, target):
    challenge("2017")
    with pytest.raises(ValueError, match=r"several challenges[\s\S]*ISIC-2017_Training_Data[\s\S]*ISIC2018_Task1-2_"):
        convert_isic(challenge("2018"), None, target)
    assert not target.exists()


def test_parts_without_masks_are_told(challenge, target, notes):
    root = challenge("2018")
    for role in ("validation", "test"):
        shutil.rmtree(root / NAMES["2018"][role][1])
    done = convert_isic(root, None, target)
    assert (done.n_training, done.n_test, done.n_test_labels) == (2, 2, 0)
    text = "\n".join(notes())
    assert "ISIC2018_Task1-2_Validation_Input is left out: no masks of the validation part" in text
    assert "ISIC2018_Task1-2_Test_Input has no masks beside it" in text


def test_training_part_without_masks_is_no_training_part(challenge, target):
    root = challenge("2018")
    shutil.rmtree(root / "ISIC2018_Task1_Training_GroundTruth")
    with pytest.raises(ValueError, match=r"no masks for the training part .*ISIC2018_Task1-2_Training_Input"):
        convert_isic(root, None, target)


def test_masks_without_their_images_are_told(challenge, target, notes):
    root = challenge()
    shutil.rmtree(root / "ISIC-2017_Validation_Data")
    assert convert_isic(root, None, target).n_training == 2
    assert any("Validation_Part1_GroundTruth is not used: the images of the validation" in note for note in notes())


def test_two_test_parts_of_one_year_are_not_guessed(challenge, draw_part, target):
    root = challenge()
    draw_part(root / "ISIC-2017_Test_Data", None, ["ISIC_8"])
    with pytest.raises(ValueError, match="2 places of images for the test part of 2017"):
        convert_isic(root, None, target)


def test_a_single_part_trains_whatever_it_is_called(challenge, target):
    done = convert_isic(challenge(roles=("test",)), None, target)
    assert (done.n_training, done.n_test) == (2, 0)


def test_link_to_a_part_that_is_gone_is_told(challenge, target):
    root = challenge()
    shutil.rmtree(root / "ISIC-2017_Validation_Data")
    (root / "ISIC-2017_Validation_Data").symlink_to(root.parent / "gone")
    with pytest.raises(ValueError, match=r"ISIC-2017_Validation_Data is a link to .*gone, which is not there"):
        convert_isic(root, None, target)


def test_published_split_leaves_the_test_part_out(challenge, target, notes):
    run = RunOptions(split="isic17-1500-650")
    # It asks for 2150 cases, which are not here.
    with pytest.raises(ValueError, match="2150"):
        convert_isic(challenge(), None, target, options=IsicOptions(run=run))
    assert any("ISIC-2017_Test_v2_Data is left out" in note for note in notes())


def test_archive_beside_its_own_folder_counts_once(challenge, target):
    root = challenge()
    for folder in list(root.iterdir()):
        shutil.make_archive(str(folder), "zip", root, folder.name)
    done = convert_isic(root, None, target)
    assert (done.n_training, done.n_test) == (3, 2)
