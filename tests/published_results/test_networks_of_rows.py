"""The networks that rows are linked to are the ones that the papers measured: they have as many parameters."""

import math

import pytest
import torch
from optional_networks import lacking

from nnunet_mamba import create_network
from nnunet_mamba.presets import PRESETS
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


STAND_INS = {row.stand_in.shown: row.stand_in for row in ROWS if row.stand_in is not None}


@pytest.mark.parametrize(
    "stand_in",
    [pytest.param(found, marks=lacking(PRESETS[found.preset]), id=shown) for shown, found in STAND_INS.items()],
)
def test_a_stand_in_is_another_network_whose_size_a_remark_tells(stand_in):
    with torch.device("meta"):
        network = create_network(stand_in.preset, 3, 1, **stand_in.overrides)
    counted = sum(each.numel() for each in network.parameters())

    rows = [row for row in ROWS if row.stand_in == stand_in]
    assert rows
    for row in rows:
        assert row.network is None
        assert any(f"{counted / 1e6:.3f} M" in remark for remark in row.remarks), counted
        if (printed := row.printed(PARAMETERS)) is not None:
            assert abs(printed.value - counted) > printed.rounding
            assert any(f"Its {printed.text} M" in remark for remark in row.remarks)


def two_convolutions(before, width):
    """Weights, biases and norms of two convolutions of 3x3."""
    return 9 * width * (before + width) + 6 * width


def test_the_printed_sizes_are_those_of_the_networks_that_the_remarks_describe():
    widths = (32, 64, 128, 256, 512)
    levels = range(len(widths))
    encoder = two_convolutions(3, 32) + sum(two_convolutions(widths[i - 1], widths[i]) for i in levels[1:])
    nested = sum(
        two_convolutions(column * widths[i] + widths[i + 1], widths[i])
        for column in levels[1:]
        for i in levels[:-column]
    )
    unet_plus_plus = encoder + nested + widths[0] + 1

    widths = tuple(2 * width for width in widths)
    encoder = two_convolutions(3, 64) + sum(two_convolutions(widths[i - 1], widths[i]) for i in levels[1:])
    decoder = 0
    for below, width in zip(widths[1:], widths, strict=False):
        gate = 2 * (width * (width // 2) + 3 * (width // 2)) + width // 2 + 3
        decoder += 9 * below * width + 3 * width + gate + two_convolutions(2 * width, width)
    attention_unet = encoder + decoder + widths[0] + 1

    printed = {row.method: row.printed(PARAMETERS).text for row in ROWS if row.stand_in and row.printed(PARAMETERS)}
    assert printed == {"UNet++": f"{unet_plus_plus / 1e6:.3f}", "Attention U-Net": f"{attention_unet / 1e6:.3f}"}


def test_a_u_net_that_nobody_can_build_has_no_network_and_a_remark():
    unknown = [row for row in ROWS if any("cannot be reproduced" in remark for remark in row.remarks)]
    assert {(row.table.paper.name, row.method) for row in unknown} == {
        ("ultralight_vm_unet", "U-Net"),
        ("vm_unet", "UNet"),
    }
    assert len(unknown) == 6
    assert all(row.network is None and row.stand_in is None for row in unknown)
