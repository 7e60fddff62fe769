import pytest

from nnunet_mamba.training.generated_trainers import load_trainer, trainer_names, trainer_with_budget


@pytest.mark.parametrize(
    ("suffix", "epochs", "iterations"),
    [
        ("_20epochs", 20, None),
        ("_1epoch", 1, None),
        ("_1epochs", 1, None),
        ("_2epochs_20iterations", 2, 20),
        ("_1epoch_1iteration", 1, 1),
        ("_1000epochs_250iterations", 1000, 250),
    ],
)
def test_reads_the_budget_from_the_name(suffix, epochs, iterations):
    name = f"nnUNetTrainerUltraLightVM{suffix}"
    trainer = trainer_with_budget(name)
    assert trainer.__name__ == name
    assert (trainer.epochs_of_name, trainer.iterations_of_name) == (epochs, iterations)
    assert issubclass(trainer, load_trainer("nnUNetTrainerUltraLightVM"))


@pytest.mark.parametrize(
    "suffix",
    [
        "_0epochs",
        "_epochs",
        "_20epoch_",
        "_20",
        "_20iterations",
        "_-1epochs",
        "_2epochs_0iterations",
        "_1.5epochs",
        "_02epochs",
        "_20Epochs",
        "_",
    ],
)
def test_refuses_a_bad_budget_and_names_the_valid_form(suffix):
    name = f"nnUNetTrainerUltraLightVM{suffix}"
    with pytest.raises(ValueError, match=r"_<N>epochs_<M>iterations.*nnUNetTrainerUltraLightVM_20epochs") as error:
        trainer_with_budget(name)
    assert name in str(error.value)


@pytest.mark.parametrize("name", ["nnUNetTrainer_20epochs", "nnUNetTrainerUltraLight_20epochs", "__path__"])
def test_lets_nnunet_search_on_for_names_of_others(name):
    with pytest.raises(AttributeError, match=name):
        trainer_with_budget(name)


def test_the_same_name_is_the_same_class():
    name = "nnUNetTrainerUltraLightVM_3epochs"
    assert trainer_with_budget(name) is trainer_with_budget(name)


def test_every_bundled_trainer_loads_and_has_the_name_of_its_file():
    assert "nnUNetTrainerUltraLightVM" in trainer_names()
    for name in trainer_names():
        assert load_trainer(name).__name__ == name
