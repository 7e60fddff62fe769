import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.presets.trainer_names import variants_of_file
from nnunet_mamba.training.augmentation.choices import PHOTOGRAPHS
from nnunet_mamba.training.generated_trainers import (
    has_deep_variant,
    load_trainer,
    load_trainer_with_suffixes,
    named_recipes,
)
from nnunet_mamba.training.recipes import NNUNET

NAME = "nnUNetTrainerUltraLightVM"
RECIPES = ("paper", "nnunet", "robust")
counts = st.integers(1, 10**6)


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
    name = f"{NAME}{suffix}"
    trainer = load_trainer_with_suffixes(name)
    assert trainer.__name__ == name
    assert (trainer.epochs_of_name, trainer.iterations_of_name) == (epochs, iterations)
    assert issubclass(trainer, load_trainer(NAME))
    assert trainer.recipe is load_trainer(NAME).recipe


@settings(deadline=None)
@given(
    begin=st.sampled_from([(base, variant) for base in trainer_names() for variant in ("", *variants_of_file(base))]),
    recipe=st.sampled_from(["", "paper", "nnunet", "robust"]),
    deep=st.booleans(),
    epochs=st.none() | counts,
    iterations=st.none() | counts,
    seed=st.none() | st.integers(0, 10**6),
)
def test_every_trainer_takes_every_suffix_that_it_has(begin, recipe, deep, epochs, iterations, seed):
    base, variant = begin
    trainer = load_trainer(base)
    budget = [f"{epochs}epochs", *([f"{iterations}iterations"] if iterations else [])] if epochs else []
    suffixes = [*filter(None, (variant, recipe)), *(["deep"] if deep else []), *budget]
    suffixes += [] if seed is None else [f"seed{seed}"]
    name = "_".join([base, *suffixes])

    if not suffixes:
        return
    if deep and not has_deep_variant(trainer):
        with pytest.raises(ValueError, match=rf"no trainer '{name}': '{base}' .*; leave '_deep' out\.$"):
            load_trainer_with_suffixes(name)
        return
    generated = load_trainer_with_suffixes(name)

    assert issubclass(generated, trainer)
    assert generated.__name__ == name
    assert generated.variant_of_name == (variant or None)
    assert generated.deep_of_name is deep
    assert generated.has_deep_supervision() == (deep or trainer.preset.deep_supervision)
    assert generated.epochs_of_name == epochs
    assert generated.iterations_of_name == (iterations if epochs else None)
    assert generated.seed_of_name == seed
    assert generated.recipe == (named_recipes(trainer)[recipe] if recipe else trainer.recipe)


@settings(deadline=None)
@given(
    base=st.sampled_from(trainer_names()), parts=st.permutations([*RECIPES, "deep", "2epochs", "3iterations", "seed1"])
)
def test_refuses_suffixes_in_another_order(base, parts):
    """All seven together are never a trainer: the recipes exclude each other."""
    for n_parts in (2, 7):
        chosen = parts[:n_parts]
        ordered = [part for part in (*RECIPES, "deep", "2epochs", "3iterations", "seed1") if part in chosen]
        excluded = len(set(RECIPES) & set(chosen)) > 1 or ("3iterations" in chosen and "2epochs" not in chosen)
        if chosen == ordered and not excluded:
            continue
        with pytest.raises(ValueError, match=f"There is no trainer '{base}_"):
            load_trainer_with_suffixes("_".join([base, *chosen]))


def test_names_that_begin_alike_are_not_taken_for_each_other():
    for first, second in itertools.permutations(trainer_names(), 2):
        if second.startswith(first):
            assert issubclass(load_trainer_with_suffixes(f"{second}_3epochs"), load_trainer(second))
            assert not issubclass(load_trainer_with_suffixes(f"{first}_3epochs"), load_trainer(second))


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
        "_Paper",
        "_nnUNet",
        "_paper_nnunet",
        "_nnunet_robust",
        "_Robust",
        "_paper_",
        "_20epochs_paper",
        "_deep_nnunet",
        "_deep_deep",
        "_deeper",
        "_seed",
        "_seed01",
        "_seed-1",
        "_seed1_seed1",
        "_seed1_20epochs",
        "_paper_parallel1",
        "_parallel1_parallel2",
        "_dropPath0",
        "_parallel3",
    ],
)
def test_refuses_other_suffixes_and_names_the_valid_ones(suffix):
    name = f"{NAME}{suffix}"
    with pytest.raises(
        ValueError,
        match=(
            r"a variant \('_parallel1', .*\), '_paper', '_nnunet' or '_robust', '_deep', .*_<M>iterations.*, "
            "and '_seed<N>' .*UltraLightVM_20epochs"
        ),
    ) as error:
        load_trainer_with_suffixes(name)
    assert f"There is no trainer {name!r}" in str(error.value)


def test_u_mamba_has_its_heads_anyway_and_offers_no_other():
    with pytest.raises(ValueError, match="'nnUNetTrainerUMambaBot' trains with deep supervision anyway; leave '_deep'"):
        load_trainer_with_suffixes("nnUNetTrainerUMambaBot_deep")
    with pytest.raises(ValueError, match="in this order, '_paper', '_nnunet' or '_robust', '_<N>epochs' or"):
        load_trainer_with_suffixes("nnUNetTrainerUMambaBot_0epochs")


def test_a_trainer_that_compares_single_outputs_has_no_deep_variant(monkeypatch):
    monkeypatch.setattr(load_trainer("nnUNetTrainerVMUNet"), "needs_single_output", True)
    with pytest.raises(ValueError, match="'nnUNetTrainerVMUNet' needs a single output; leave '_deep' out"):
        load_trainer_with_suffixes("nnUNetTrainerVMUNet_deep_7epochs")


@pytest.mark.parametrize("name", trainer_names())
def test_nnunets_recipe_is_the_same_for_all_but_for_the_checkpoints(name):
    trainer = load_trainer(name)
    recipe = named_recipes(trainer)["nnunet"]
    assert recipe.save_every == trainer.recipe.save_every
    changed = {field for field in vars(NNUNET) if getattr(recipe, field) != getattr(NNUNET, field)}
    assert changed <= {"save_every"}


@pytest.mark.parametrize("name", trainer_names())
def test_the_robust_recipe_changes_augmentation_and_average_alone(name):
    trainer = load_trainer(name)
    recipe = load_trainer_with_suffixes(f"{name}_robust").recipe
    changed = {field for field in vars(recipe) if getattr(recipe, field) != getattr(trainer.recipe, field)}
    assert changed == {"source", "augmentation", "ema_decay"}
    assert (recipe.augmentation, recipe.ema_decay, recipe.mirrors) == (PHOTOGRAPHS, 0.999, True)


@pytest.mark.parametrize("name", ["nnUNetTrainer_20epochs", "nnUNetTrainerUltraLight_20epochs", "__path__", NAME])
def test_lets_nnunet_search_on_for_names_of_others(name):
    with pytest.raises(AttributeError, match=name):
        load_trainer_with_suffixes(name)


def test_the_same_name_is_the_same_class():
    name = f"{NAME}_nnunet_3epochs"
    assert load_trainer_with_suffixes(name) is load_trainer_with_suffixes(name)


def test_every_bundled_trainer_loads_and_has_the_name_of_its_file():
    assert NAME in trainer_names()
    for name in trainer_names():
        assert load_trainer(name).__name__ == name
