"""Every table of the papers has one experiment, and all that an experiment names is there."""

from collections import Counter

import pytest

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.data.splits.held_out import is_held_out
from nnunet_mamba.data.splits.published_splits import PUBLISHED_SIZES
from nnunet_mamba.published_results import ROWS
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.planned_rows import rows_of
from nnunet_mamba.reproduction.request import find_experiment
from nnunet_mamba.training.distillation.settings import DistillationSettings

DATA = list(dict.fromkeys(data for experiment in EXPERIMENTS.values() for data in experiment.all_data))


def test_every_printed_table_has_exactly_one_experiment():
    tables = {(row.table.paper.name, row.table.number) for row in ROWS}
    assert Counter((each.paper, each.table) for each in EXPERIMENTS.values()) == Counter(tables)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_an_experiment_names_the_data_sets_and_methods_of_its_table(experiment):
    rows = rows_of(experiment)
    printed = {row.setting.dataset for row in rows}
    assert printed <= experiment.data.keys()
    assert experiment.data.keys() - printed <= set().union(*experiment.tests.values())
    assert experiment.methods.keys() <= {row.method for row in rows}
    assert experiment.tests.keys() == {dataset for dataset in printed if not experiment.data[dataset].split}
    for dataset, data in experiment.data.items():
        assert data.dataset == dataset
    for row in rows:
        assert experiment.data_of(row.method, row.setting.dataset).dataset == row.setting.dataset


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_an_experiment_has_the_splits_sizes_and_seeds_of_its_rows(experiment):
    for row in rows_of(experiment):
        setting, data = row.setting, experiment.data_of(row.method, row.setting.dataset)
        assert str(data.n_images) in setting.split or setting.split.startswith(("30 CT", "slices"))
        assert setting.split_name in ("", data.split)
        if setting.image_size and setting.dataset not in ("synapse", "lgg"):
            assert setting.image_size == f"{data.size}×{data.size}"
        if not setting.image_size and setting.dataset.startswith("isic"):
            assert row.method == f"{data.size}×{data.size}"
    spreads = {row.setting.spread for row in rows_of(experiment)} - {""}
    assert (experiment.repeats == 3) == ("three seeds" in spreads)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_an_epoch_chosen_by_the_test_is_told_where_the_rows_say_so_and_nowhere_else(experiment):
    noted = any("the test images choose the epoch" in note for row in rows_of(experiment) for note in row.setting.notes)
    told = [text for text in experiment.differences if "keeps the epoch that scores best on the test images" in text]
    assert len(told) == noted


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_a_table_with_taught_networks_tells_the_weights_of_the_terms(experiment):
    taught = any(change.teacher for change in experiment.methods.values())
    (told,) = [text for text in experiment.differences if "terms of the distillation" in text] if taught else [""]
    ours = DistillationSettings()
    assert (f"{ours.soft:g} (soft), {ours.attention:g} (attention) and {ours.gradient:g} (gradient)" in told) == taught
    has_kl = "KL-Distill" in experiment.methods
    assert (
        any(
            f"KL-Distill is our reading, with a temperature of {ours.kl_temperature:g}" in text
            for text in experiment.differences
        )
        == has_kl
    )


def test_the_trainers_that_experiments_name_exist():
    named = [change for experiment in EXPERIMENTS.values() for change in experiment.methods.values()]
    names = {change.teacher for change in named} - {""}
    assert names
    assert names <= set(trainer_names())


def test_data_sets_have_numbers_and_names_of_their_own():
    for part in ("number", "name"):
        values = [getattr(data, part) for data in DATA]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("data", [data for data in DATA if data.split], ids=lambda data: data.name)
def test_splits_can_be_drawn_of_the_papers_number_of_images(data):
    assert is_held_out(data.split_name)
    if data.split in PUBLISHED_SIZES:
        assert PUBLISHED_SIZES[data.split].n_cases == data.n_images


def test_a_name_is_found_in_any_case_and_the_nearest_ones_are_suggested():
    assert find_experiment("VM-UNet-Table-II") is EXPERIMENTS["vm-unet-table-ii"]
    assert find_experiment("vm-unet-table-2") is EXPERIMENTS["vm-unet-table-ii"]
    assert find_experiment("ultralbm-unet-table-VII") is EXPERIMENTS["ultralbm-unet-table-7"]
    with pytest.raises(ValueError, match="did you mean ultralbm-unet-table-1 or"):
        find_experiment("ultralbm-table-1")
    with pytest.raises(ValueError, match="expected one of ultralight-vm-unet-table-1, "):
        find_experiment("x")
