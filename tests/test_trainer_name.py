import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.presets.trainer_names import variants_of_file
from nnunet_mamba.trainer_name import TrainerName

BASE = "nnUNetTrainerUltraLightVM"
counts = st.integers(1, 10**6)
BASES = [*trainer_names(), "nnUNetTrainer", "nnUNetTrainerDiceCELoss"]
names = st.builds(
    lambda begin, unknown, recipe, deep, epochs, iterations, seed: TrainerName(
        base=begin[0],
        variant=begin[1],
        unknown=unknown,
        recipe=recipe,
        deep=deep,
        epochs=epochs,
        iterations=iterations if epochs else None,
        seed=seed,
    ),
    begin=st.sampled_from([(base, variant) for base in BASES for variant in (None, *variants_of_file(base))]),
    unknown=st.sampled_from(["", "_noSmooth", "_", "_deeper", "_20epochs_", "_seed1_"]),
    recipe=st.sampled_from([None, "paper", "nnunet", "robust"]),
    deep=st.booleans(),
    epochs=st.none() | counts,
    iterations=st.none() | counts,
    seed=st.none() | st.integers(0, 10**6),
)


@given(names)
def test_a_name_is_read_as_it_was_written(name):
    assert TrainerName.parse(str(name)) == name


@given(st.text() | st.text("_nupaerdtsiochd10") | st.text("_dropPath01").map("nnUNetTrainerVMUNet_dropPath0{}".format))
def test_every_name_has_parts_and_none_of_it_is_lost(name):
    parsed = TrainerName.parse(name)
    assert TrainerName.parse(str(parsed)) == parsed
    assert "_" not in parsed.base
    assert name.startswith(parsed.base + (f"_{parsed.variant}" if parsed.variant else "") + parsed.unknown)


@pytest.mark.parametrize(
    ("suffixes", "parts"),
    [
        ("", {}),
        ("_paper", {"recipe": "paper"}),
        ("_robust_30epochs", {"recipe": "robust", "epochs": 30}),
        ("_deep", {"deep": True}),
        ("_20epochs", {"epochs": 20}),
        ("_1epoch_1iteration", {"epochs": 1, "iterations": 1}),
        ("_nnunet_deep_2epochs_5iterations", {"recipe": "nnunet", "deep": True, "epochs": 2, "iterations": 5}),
        ("_seed0", {"seed": 0}),
        ("_robust_20epochs_seed12", {"recipe": "robust", "epochs": 20, "seed": 12}),
        ("_seed1_20epochs", {"unknown": "_seed1", "epochs": 20}),
        ("_seed1_seed2", {"unknown": "_seed1", "seed": 2}),
        ("_seed01", {"unknown": "_seed01"}),
        ("_seed", {"unknown": "_seed"}),
        ("_noSmooth_5epochs", {"unknown": "_noSmooth", "epochs": 5}),
        ("_deep_nnunet", {"unknown": "_deep", "recipe": "nnunet"}),
        ("_robust_paper", {"unknown": "_robust", "recipe": "paper"}),
        ("_0epochs", {"unknown": "_0epochs"}),
        ("_02epochs", {"unknown": "_02epochs"}),
        ("_20iterations", {"unknown": "_20iterations"}),
        ("_2epochs_0iterations", {"unknown": "_2epochs_0iterations"}),
        ("_\n", {"unknown": "_\n"}),
        ("_parallel1", {"variant": "parallel1"}),
        (
            "_convEncoder_nnunet_deep_2epochs_seed1",
            {"variant": "convEncoder", "recipe": "nnunet", "deep": True, "epochs": 2, "seed": 1},
        ),
        ("_parallel1_mine_paper", {"variant": "parallel1", "unknown": "_mine", "recipe": "paper"}),
        ("_parallel1_", {"variant": "parallel1", "unknown": "_"}),
        ("_parallel1_parallel2", {"variant": "parallel1", "unknown": "_parallel2"}),
        ("_parallel11", {"unknown": "_parallel11"}),
        ("_parallel", {"unknown": "_parallel"}),
        ("_Parallel1", {"unknown": "_Parallel1"}),
        ("_paper_parallel1", {"unknown": "_paper_parallel1"}),
        # Of another trainer.
        ("_dropPath0", {"unknown": "_dropPath0"}),
    ],
)
def test_reads_the_suffixes_in_their_order_and_leaves_the_rest_unknown(suffixes, parts):
    assert TrainerName.parse(BASE + suffixes) == TrainerName(base=BASE, **parts)


def test_a_budget_is_written_in_the_plural():
    assert str(TrainerName.parse(f"{BASE}_1epoch_1iteration")) == f"{BASE}_1epochs_1iterations"


@pytest.mark.parametrize(
    ("name", "without"),
    [
        (f"{BASE}_nnunet_deep_20epochs_5iterations_seed3", f"{BASE}_nnunet_deep"),
        (f"{BASE}_seed0", BASE),
        ("nnUNetTrainer_5epochs", "nnUNetTrainer"),
        (f"{BASE}_mine", f"{BASE}_mine"),
        (f"{BASE}_parallel2_robust_1epoch_seed1", f"{BASE}_parallel2_robust"),
    ],
)
def test_the_budget_and_the_seed_can_be_left_out(name, without):
    assert str(TrainerName.parse(name).without_budget_and_seed()) == without


def test_a_seed_replaces_another():
    name = TrainerName.parse(f"{BASE}_20epochs_seed1")
    assert [str(name.with_seed(seed)) for seed in (0, None)] == [f"{BASE}_20epochs_seed0", f"{BASE}_20epochs"]


def test_the_base_tells_whose_trainer_it_is():
    assert all(TrainerName.parse(name).is_ours for name in trainer_names())
    assert TrainerName.parse(f"{BASE}_nnunet_3epochs").is_ours
    assert TrainerName.parse(f"{BASE}_unknown").is_ours
    assert not TrainerName.parse("nnUNetTrainer_20epochs").is_ours
    assert not TrainerName.parse("nnUNetTrainerUltraLight_20epochs").is_ours
