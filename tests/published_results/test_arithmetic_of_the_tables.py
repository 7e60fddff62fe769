"""Printed numbers that follow from each other do: this finds errors of transcription, and the papers' own.

Where a paper contradicts itself, a remark says so; and no remark says so where it does not.
"""

from itertools import product
from statistics import mean, median

import pytest

from nnunet_mamba.presets import PRESETS
from nnunet_mamba.published_results import ROWS
from nnunet_mamba.published_results.row import ACCURACY, DICE, FLOPS, IOU, PARAMETERS, SENSITIVITY, SPECIFICITY

POOLED = [row for row in ROWS if row.setting.protocol == "pooled pixels"]
WITH_IOU = [row for row in POOLED if row.printed(IOU) is not None]
WITH_RATES = [row for row in POOLED if row.printed(SENSITIVITY) is not None]
SYNAPSE = [row for row in ROWS if row.setting.dataset == "synapse" and row.printed(DICE, "liver") is not None]


def name(row):
    return f"{row.table.paper.name}, {row.table.number}, {row.setting.dataset}, {row.method}"


def of_table(row):
    return row.table.paper.name, row.table.number, row.setting.dataset


def dice_of_iou(iou):
    return 2 * iou / (1 + iou)


def bounds(printed):
    return printed.value - printed.rounding, printed.value + printed.rounding


def lesion_and_dice(row):
    """The share of lesion pixels, and the DSC, that the rates allow within their rounding: lowest and highest."""
    shares, dices = [], []
    for sensitivity, specificity, accuracy in product(
        *(bounds(row.printed(metric)) for metric in (SENSITIVITY, SPECIFICITY, ACCURACY))
    ):
        share = (specificity - accuracy) / (specificity - sensitivity)
        true, false = share * sensitivity, (1 - share) * (1 - specificity)
        shares.append(share)
        dices.append(2 * true / (true + share + false))
    return (min(shares), max(shares)), (min(dices), max(dices))


SHARES = {}
for each in WITH_RATES:
    SHARES.setdefault(of_table(each), []).append(mean(lesion_and_dice(each)[0]))


def test_there_is_something_to_compute():
    assert (len(WITH_IOU), len(WITH_RATES), len(SYNAPSE)) == (78 + 13 + 6 + 8 + 10 + 6, 31 + 13, 12)


@pytest.mark.parametrize("row", WITH_IOU, ids=name)
def test_dice_follows_from_iou(row):
    iou, dice = row.printed(IOU), row.printed(DICE)
    lowest, highest = map(dice_of_iou, bounds(iou))
    if iou.spread:
        # Dice is a concave function of IoU: that of a mean is above the mean of several models' Dice, by half its
        # curvature times their variance.
        spread = float(iou.spread) / 100
        lowest -= 0.5 * spread**2 * 4 / (1 + iou.value) ** 3
    fits = lowest - dice.rounding <= dice.value <= highest + dice.rounding

    assert fits != any("look exchanged" in remark for remark in row.remarks), dice_of_iou(iou.value)


@pytest.mark.parametrize("row", WITH_RATES, ids=name)
def test_dice_follows_from_sensitivity_specificity_and_accuracy(row):
    dice = row.printed(DICE)
    lowest, highest = lesion_and_dice(row)[1]
    said = [remark for remark in row.remarks if "give a DSC of" in remark]

    assert (lowest - dice.rounding <= dice.value <= highest + dice.rounding) == (not said)
    for remark in said:
        assert f"{mean((lowest, highest)):.3f}" in remark


@pytest.mark.parametrize("row", WITH_RATES, ids=name)
def test_rows_of_a_table_have_the_same_test_images(row):
    lowest, highest = lesion_and_dice(row)[0]
    share = median(SHARES[of_table(row)])
    said = [remark for remark in row.remarks if "of the pixels are lesion" in remark]

    assert (lowest <= share <= highest) == (not said)
    for remark in said:
        assert f"{100 * mean((lowest, highest)):.1f} %" in remark
        assert f"{100 * share:.1f} %" in remark


@pytest.mark.parametrize("row", SYNAPSE, ids=name)
def test_the_dice_of_synapse_is_the_mean_of_its_organs(row):
    organs = [value for value in row.values if value.column.label]
    of_organs = mean(value.value for value in organs)
    printed = row.printed(DICE)
    fits = abs(of_organs - printed.value) <= printed.rounding + organs[0].rounding
    said = [remark for remark in row.remarks if "mean of its eight organs" in remark]

    assert len(organs) == 8
    assert fits == (not said)
    for remark in said:
        assert f"{100 * of_organs:.2f} %" in remark


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.network is not None and not row.network.overrides], ids=name
)
def test_printed_operations_are_those_of_our_network(row):
    printed = row.printed(FLOPS)
    if printed is None:
        return
    counted = PRESETS[row.network.preset].size(2).giga_macs
    told = [remark for remark in row.remarks if "count" in remark and " G" in remark]

    assert (abs(printed.value - 1e9 * counted) <= printed.rounding) == (not told)
    for remark in told:
        assert f"{counted:.3f} G" in remark


@pytest.mark.parametrize("metric", [PARAMETERS, FLOPS])
def test_a_paper_prints_one_size_of_a_method_in_all_of_its_comparisons(metric):
    sizes = {}
    for row in ROWS:
        printed = row.printed(metric)
        if printed is not None and not row.table.is_ablation:
            sizes.setdefault((row.table.paper.name, row.method), set()).add(printed.text)
    assert sizes
    assert {key: texts for key, texts in sizes.items() if len(texts) > 1} == {}
