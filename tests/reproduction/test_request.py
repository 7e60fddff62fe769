"""What a user asks for: names, folders and budgets, and sentences where they mean nothing."""

import pytest

from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.request import Budget, places_of

ONE = EXPERIMENTS["mamba-tumour-segmentation-table-i"]
SEVERAL = EXPERIMENTS["ultralbm-unet-table-1"]


def test_a_budget_is_written_as_in_a_trainers_name():
    assert Budget.parse("20epochs") == Budget(epochs=20)
    assert Budget.parse("1epoch_50iterations") == Budget(epochs=1, iterations=50)
    assert [str(Budget.parse(text)) for text in ("1epochs", "2epochs_3iterations")] == [
        "1 epoch",
        "2 epochs of 3 iterations",
    ]
    for text in ("20", "0epochs", "20epochs_0iterations", "epochs", "20epochs_seed1"):
        with pytest.raises(ValueError, match="expected such as 20epochs or 1epochs_2iterations"):
            Budget.parse(text)


def test_the_only_data_set_needs_no_name(tmp_path):
    assert places_of([str(tmp_path)], ONE) == {"lgg": tmp_path}
    assert places_of([f"lgg={tmp_path}"], ONE) == {"lgg": tmp_path}
    # A folder may have a = in its name.
    (odd := tmp_path / "a=b").mkdir()
    assert places_of([str(odd)], ONE) == {"lgg": odd}


def test_several_data_sets_are_named_and_some_may_be_left_out(tmp_path):
    assert places_of([f"ph2={tmp_path}", f"isic17={tmp_path}"], SEVERAL) == {"ph2": tmp_path, "isic17": tmp_path}
    assert places_of([], SEVERAL) == {}


@pytest.mark.parametrize(
    ("texts", "error", "told"),
    [
        (["{}"], ValueError, "does not tell which of isic17, isic18, ph2 it is: `data=isic17=FOLDER`"),
        (["lgg={}"], ValueError, "ultralbm-unet-table-1 takes isic17, isic18, ph2"),
        (["ph2={}", "ph2={}"], ValueError, "names ph2 twice"),
        (["ph2={}/none"], FileNotFoundError, "`data` ph2: there is no"),
    ],
)
def test_data_that_mean_nothing_are_refused(tmp_path, texts, error, told):
    with pytest.raises(error, match=told):
        places_of([text.format(tmp_path) for text in texts], SEVERAL)
