import pytest

from nnunet_mamba.training.seed_choice import SEED_VARIABLE, seed_of_environment, seed_of_training


@pytest.mark.parametrize(("text", "seed"), [(None, None), ("", None), (" ", None), ("0", 0), (" 12 ", 12)])
def test_reads_the_seed_from_the_environment(monkeypatch, text, seed):
    monkeypatch.delenv(SEED_VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(SEED_VARIABLE, text)
    assert seed_of_environment() == seed


@pytest.mark.parametrize("text", ["-1", "1.5", "one", "²"])
def test_refuses_what_is_no_seed(monkeypatch, text):
    monkeypatch.setenv(SEED_VARIABLE, text)
    with pytest.raises(ValueError, match=rf"{SEED_VARIABLE}='{text}': expected a whole number from 0"):
        seed_of_environment()


@pytest.mark.parametrize(
    ("given", "of_name", "seed"), [("", None, None), ("0", None, 0), ("", 0, 0), ("1", 1, 1), ("01", 1, 1)]
)
def test_the_name_or_the_environment_gives_the_seed(monkeypatch, given, of_name, seed):
    monkeypatch.setenv(SEED_VARIABLE, given)
    assert seed_of_training("T", of_name) == seed


@pytest.mark.parametrize(("given", "of_name"), [("0", 1), ("2", 0)])
def test_two_seeds_are_refused(monkeypatch, given, of_name):
    monkeypatch.setenv(SEED_VARIABLE, given)
    with pytest.raises(ValueError, match=rf"={given} .* name 'T', which has {of_name}: unset .* '_seed{given}'$"):
        seed_of_training("T", of_name)
