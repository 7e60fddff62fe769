"""The networks that rows are linked to are the ones that the papers measured: they have as many parameters."""

import math

import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.published_results import ROWS
from nnunet_mamba.published_results.row import PARAMETERS

LINKED = [row for row in ROWS if row.network is not None]
COUNTED = {row.network.shown: row.network for row in LINKED if row.printed(PARAMETERS) is not None}


@pytest.fixture(scope="module")
def n_parameters():
    """Parameters of every network with a printed number, for a photograph and one label."""
    with torch.device("meta"):
        built = {shown: create_network(network.preset, 3, 1, **network.overrides) for shown, network in COUNTED.items()}
    return {shown: sum(each.numel() for each in network.parameters()) for shown, network in built.items()}


@pytest.mark.parametrize("network", COUNTED.values(), ids=COUNTED.keys())
def test_rows_print_as_many_parameters_as_we_count_or_say_why_not(network, n_parameters):
    counted = n_parameters[network.shown]
    rows = [row for row in LINKED if row.network.shown == network.shown]
    for row in rows:
        printed = row.printed(PARAMETERS)
        if printed is None:
            continue
        # Some tables round, some cut.
        cut = math.floor(counted / (2 * printed.rounding)) * 2 * printed.rounding
        agrees = abs(printed.value - counted) <= printed.rounding or math.isclose(printed.value, cut)
        told = [remark for remark in row.remarks if "count" in remark]
        assert agrees == (not told), (row.table.paper.name, row.table.number, row.method, counted)
        for remark in told:
            assert f"{counted / 1e6:.3f} M" in remark


@pytest.mark.parametrize("row", [row for row in LINKED if row.network.overrides], ids=lambda row: row.network.shown)
def test_ablations_without_printed_parameters_can_be_built(row):
    if row.printed(PARAMETERS) is None:
        with torch.device("meta"):
            create_network(row.network.preset, 3, 1, **row.network.overrides)
