"""The networks that are trained are counted, and what cannot be counted costs no more than its number."""

from pathlib import Path

import pytest

from nnunet_mamba.networks import catalogue
from nnunet_mamba.networks.catalogue import create_network
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.reproduction import network_costs as counting
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.network_costs import network_costs
from nnunet_mamba.reproduction.own_plans import OwnPlans
from nnunet_mamba.reproduction.planned_rows import planned_rows
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.training import recipes

TWO_STAGES = {
    "patch_size": [64, 64],
    "architecture": {
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [8, 16],
            "kernel_sizes": [[3, 3], [3, 3]],
            "strides": [[1, 1], [2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
        }
    },
}


def rows(table, *methods):
    experiment = EXPERIMENTS[table]
    places = dict.fromkeys(experiment.data, Path())
    return planned_rows(ReproductionRequest(experiment=experiment, output=Path("out"), places=places, rows=methods))


def test_a_network_whose_package_is_missing_is_not_counted_and_the_others_are(monkeypatch):
    # As in an installation without the libraries of the baselines.
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    table = rows("ultralbm-unet-table-1", "UNet++,UltraLBM-UNet")
    costs = dict(zip([row.row.method for row in table], network_costs(table, {}, pytest.fail), strict=True))
    assert costs["UNet++"] is None
    assert costs["UltraLBM-UNet"].n_parameters == 34_166


def test_a_network_that_cannot_be_built_is_told_once_and_stops_nothing(monkeypatch):
    def refuse(*arguments, **overrides):
        raise RuntimeError("its library\nis another")

    monkeypatch.setattr(counting, "create_network", refuse)
    told = []
    assert set(network_costs(rows("ultralbm-unet-table-1", "UltraLBM-UNet"), {}, told.append)) == {None}
    assert told == ["UltraLBM-UNet is not counted: its library"]


def test_a_network_whose_stages_the_plans_decide_is_counted_with_its_plans():
    (row,) = rows("mamba-tumour-segmentation-table-i", "UMambaBot-PP")
    assert network_costs([row], {}, pytest.fail) == [None]
    own = OwnPlans(
        batch_size=16,
        patch_size=(64, 64),
        recipe=recipes.NNUNET,
        limited_by="recipe",
        configuration=TWO_STAGES,
    )
    (cost,) = network_costs([row], {row.trainings[0]: own}, pytest.fail)
    stages = TWO_STAGES["architecture"]["arch_kwargs"]
    trained = create_network(
        "u_mamba_bot_pp", 3, 1, **{name: stages[name] for name in PRESETS["u_mamba_bot_pp"].planned(2)}
    )
    assert cost.n_parameters == sum(weight.numel() for weight in trained.parameters())
