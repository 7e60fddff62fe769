import dataclasses

import pytest

from nnunet_mamba.training.augmentation import choices


def test_the_papers_rotate_half_of_the_images_and_do_nothing_else():
    assert (
        choices.Augmentation(name="flips, rotations", intensities=False, framing=choices.Framing(p_rotation=0.5))
        == choices.FLIPS_AND_ROTATIONS
    )
    assert dataclasses.replace(choices.FLIPS_AND_ROTATIONS, name="none", framing=choices.Framing(p_rotation=0)) == (
        choices.NONE
    )


def test_photographs_have_all_of_nnunets_and_every_part_of_their_own():
    own = ("framing", "colour", "light", "optics", "holes")
    assert choices.Augmentation(name="nnU-Net's", intensities=True) == choices.NNUNET
    assert choices.PHOTOGRAPHS.intensities
    assert all(getattr(choices.PHOTOGRAPHS, part) is not None for part in own)


def test_names_differ():
    found = [value for value in vars(choices).values() if isinstance(value, choices.Augmentation)]
    assert len({augmentation.name for augmentation in found}) == len(found) == 4


def test_an_augmentation_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        choices.PHOTOGRAPHS.colour.hue = 3
