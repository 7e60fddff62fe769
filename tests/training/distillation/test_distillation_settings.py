import pytest
import torch

from nnunet_mamba.training.distillation.settings import SETTINGS_VARIABLE, DistillationSettings


def test_what_the_variable_does_not_name_has_its_default(monkeypatch):
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    assert DistillationSettings.from_environment() == DistillationSettings()
    monkeypatch.setenv(SETTINGS_VARIABLE, " soft = 2, temperature=1e-1 ,")
    assert DistillationSettings.from_environment() == DistillationSettings(soft=2, temperature=0.1)


def test_is_written_as_it_is_read():
    settings = DistillationSettings(hard=0, soft=1 / 3, attention=12345678, temperature=0.25)
    assert settings.as_text().startswith("hard=0,soft=0.333")
    assert DistillationSettings.from_text(settings.as_text()) == settings


@pytest.mark.parametrize("text", ["atention=2", "soft", "soft=", "soft=two", "soft=1;hard=2", "soft=1,soft=2", "=1"])
def test_refuses_another_form_and_shows_the_right_one(monkeypatch, text):
    monkeypatch.setenv(SETTINGS_VARIABLE, text)
    names = "hard, soft, attention, gradient, temperature, kl, kl_temperature"
    with pytest.raises(ValueError, match=rf"{names} .*'soft=2,temperature=0.5'") as error:
        DistillationSettings.from_environment()
    assert str(error.value).startswith(f"{SETTINGS_VARIABLE}={text!r}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("soft=-1", "soft=-1 is not a finite number >= 0"),
        ("hard=nan", "hard=nan is not a finite number >= 0"),
        ("gradient=inf", "gradient=inf is not a finite number >= 0"),
        ("temperature=0", "temperature=0 is not a finite number > 0"),
        ("kl_temperature=0", "kl_temperature=0 is not a finite number > 0"),
        ("hard=0,soft=0,attention=0,gradient=0", "All weights are 0"),
    ],
)
def test_refuses_values_that_mean_nothing(monkeypatch, text, problem):
    monkeypatch.setenv(SETTINGS_VARIABLE, text)
    with pytest.raises(ValueError, match=problem):
        DistillationSettings.from_environment()


def test_the_loss_is_the_sum_of_the_weighted_terms():
    settings = DistillationSettings(hard=0.5, soft=2, attention=3, gradient=4)
    terms = {"hard": torch.tensor(-1.0), "soft": torch.tensor(10.0), "gradient": torch.tensor(100.0)}
    assert settings.weighted_sum(terms).item() == -0.5 + 20 + 400


@pytest.mark.parametrize("text", [",", " , ,"])
def test_a_text_that_names_nothing_is_not_taken_for_the_defaults(monkeypatch, text):
    monkeypatch.setenv(SETTINGS_VARIABLE, text)
    with pytest.raises(ValueError, match="it names nothing"):
        DistillationSettings.from_environment()


KL = {"kl": 1.0, "soft": 0.0, "attention": 0.0, "gradient": 0.0}


def test_a_variant_says_which_terms_there_are_and_the_variable_how_much_they_count(monkeypatch):
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    assert DistillationSettings.from_environment(KL) == DistillationSettings(**KL)
    monkeypatch.setenv(SETTINGS_VARIABLE, "kl=2,kl_temperature=4,hard=0,soft=0")
    assert DistillationSettings.from_environment(KL) == DistillationSettings(
        **{**KL, "kl": 2}, kl_temperature=4, hard=0
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "soft=0.5",
            "soft=0.5 asks for a term that the variant in the trainer's name leaves out. Unset soft, or train",
        ),
        ("hard=2,kl=0", "kl=0 leaves out a term that the variant in the trainer's name has. Unset kl, or train"),
    ],
)
def test_refuses_other_terms_than_those_of_the_variant(monkeypatch, text, problem):
    monkeypatch.setenv(SETTINGS_VARIABLE, text)
    with pytest.raises(ValueError, match=problem) as error:
        DistillationSettings.from_environment(KL)
    assert str(error.value).startswith(f"{SETTINGS_VARIABLE}={text!r}")
    # Without a variant, the variable says all.
    assert DistillationSettings.from_environment() == DistillationSettings.from_text(text)
