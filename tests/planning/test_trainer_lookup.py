import pytest

from nnunet_mamba.planning.trainer_lookup import trainer_class


def test_an_unknown_trainer_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^`trainers` nnUNetTrainerVMUnet: unknown; .*Did you mean nnUNetTrainerVMUNet\?"
    ):
        trainer_class("nnUNetTrainerVMUnet")
    assert trainer_class("nnUNetTrainerVMUNet_3epochs").epochs_of_name == 3


def test_a_suffix_that_the_trainer_cannot_have_is_refused():
    with pytest.raises(ValueError, match="trains with deep supervision anyway"):
        trainer_class("nnUNetTrainerUMambaBot_deep")
