import math

import pytest

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.evaluation.paper_protocols import (
    BATCHES,
    ISIC,
    MEAN_OF_LABELS,
    PER_CASE,
    POOLED,
    PROTOCOLS,
    SYNAPSE,
    Batches,
    protocol_scores,
    read_batch_order,
)
from nnunet_mamba.results.confusion import Confusion, ScoredCase


def case(identifier, tp, fp, fn, tn=100, label="lesion"):
    return ScoredCase(identifier=identifier, confusions={label: Confusion(tp=tp, fp=fp, fn=fn, tn=tn)})


GOOD = case("a", 90, 10, 10)  # Dice 0.9, IoU 90 / 110
POOR = case("b", 10, 10, 10)  # Dice 0.5, IoU 1 / 3
MISSED = case("c", 0, 0, 20)
ALARM = case("d", 0, 20, 0)
NOTHING = case("e", 0, 0, 0)
ALL = [GOOD, POOR, MISSED, ALARM, NOTHING]


def scores(cases, **options):
    return {(row.protocol, row.label): row for row in protocol_scores(cases, **options)}


def dice(cases, protocol, **options):
    return scores(cases, **options)[protocol, "lesion"].dice


def medpy(cases, lengths, convention="medpy"):
    by_case = {
        case.identifier: {"lesion": MaskDistances(hd95=length, assd=0, nsd=math.nan)}
        for case, length in zip(cases, lengths, strict=True)
    }
    return MeasuredDistances(by_case=by_case, measure=DistanceMeasure(convention=convention), unit="pixel")


def test_every_protocol_scores_every_label():
    assert [row.protocol for row in protocol_scores(ALL)] == list(PROTOCOLS)


def test_per_case_mean_leaves_cases_without_the_label_out():
    assert dice(ALL, PER_CASE) == pytest.approx((0.9 + 0.5) / 4)
    assert scores(ALL)[PER_CASE, "lesion"].iou == pytest.approx((90 / 110 + 1 / 3) / 4)


def test_pooled_pixels_are_one_matrix():
    assert dice(ALL, POOLED) == pytest.approx(200 / (200 + 40 + 40))


def test_batches_are_pooled_by_themselves_and_depend_on_size_and_order():
    assert dice(ALL, BATCHES, batches=Batches(size=1)) == pytest.approx(dice(ALL, PER_CASE))
    assert dice(ALL, BATCHES, batches=Batches(size=5)) == pytest.approx(dice(ALL, POOLED))
    two = [200 / (200 + 20 + 20), 0]
    # The last batch has no lesion anywhere.
    assert dice(ALL, BATCHES, batches=Batches(size=2)) == pytest.approx(sum(two) / 2)
    order = ["a", "c", "b", "d", "e"]
    mixed = [180 / (180 + 10 + 30), 20 / (20 + 30 + 10)]
    assert dice(ALL, BATCHES, batches=Batches(size=2, order=order)) == pytest.approx(sum(mixed) / 2)


def test_synapse_rewards_what_its_published_code_rewards():
    distances = medpy(ALL, [4.0, 8.0, 50.0, 50.0, math.nan])
    found = scores(ALL, distances=distances)[SYNAPSE, "lesion"]
    # A false positive on an absent organ scores 1 and 0, an empty prediction 0 and 0, with a reference or without.
    assert found.dice == pytest.approx((0.9 + 0.5 + 0 + 1 + 0) / 5)
    assert found.hd95 == pytest.approx((4 + 8) / 5)
    assert math.isnan(found.iou)


def test_synapse_has_no_distance_in_another_convention():
    distances = medpy(ALL, [4.0, 8.0, 50.0, 50.0, math.nan], convention="surface")
    found = scores(ALL, distances=distances)
    assert math.isnan(found[SYNAPSE, "lesion"].hd95)
    assert found[PER_CASE, "lesion"].hd95 == pytest.approx(28)


def test_isic_2018_counts_less_than_its_threshold_as_0_and_two_empty_masks_as_1():
    found = scores(ALL)[ISIC, "lesion"]
    assert found.iou == pytest.approx((90 / 110 + 0 + 0 + 0 + 1) / 5)
    assert math.isnan(found.dice)
    exact = case("f", 65, 35, 0)
    assert scores([exact])[ISIC, "lesion"].iou == pytest.approx(0.65)
    assert scores([case("f", 649, 351, 0)])[ISIC, "lesion"].iou == 0


def test_several_labels_have_a_mean_in_each_protocol():
    both = [
        ScoredCase(
            identifier=one.identifier, confusions={"x": one.confusions["lesion"], "y": other.confusions["lesion"]}
        )
        for one, other in ((GOOD, POOR), (POOR, POOR))
    ]
    found = scores(both)
    assert found[PER_CASE, MEAN_OF_LABELS].dice == pytest.approx((0.7 + 0.5) / 2)
    assert math.isnan(found[ISIC, MEAN_OF_LABELS].dice)
    assert found[SYNAPSE, MEAN_OF_LABELS].as_dict()["hd95"] is None


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (["a", "b", "c", "d"], "e are missing"),
        (["a", "b", "c", "d", "e", "f"], "f are no cases"),
        (["a", "a", "b", "c", "d", "e"], "a are there twice"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(order, text):
    with pytest.raises(ValueError, match=f"`batch_order` does not fit the 5 cases: {text}; name each case once"):
        protocol_scores(ALL, batches=Batches(order=order))


def test_no_batch_and_no_case_are_refused():
    with pytest.raises(ValueError, match="a batch of 0 cases, expected at least 1: set `batch_size`"):
        Batches(size=0)
    with pytest.raises(ValueError, match="no case"):
        protocol_scores([])


def test_an_order_is_read_from_a_text_file(tmp_path):
    (tmp_path / "order.txt").write_text("\ufeffb\n\n a \n", encoding="utf-8")
    assert read_batch_order(tmp_path / "order.txt") == ["b", "a"]
    (tmp_path / "order.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"order\.txt is no text in UTF-8 .* expected the identifier"):
        read_batch_order(tmp_path / "order.txt")


@pytest.mark.parametrize("protocol", [PER_CASE, ISIC])
def test_missing_a_lesion_altogether_never_improves_a_score(protocol):
    for kept in (GOOD, POOR, case("b", 1, 500, 19)):
        counts = kept.confusions["lesion"]
        missed = case(kept.identifier, 0, 0, counts.tp + counts.fn, counts.fp + counts.tn)
        for others in ([], [case("z", 40, 5, 5)], [MISSED, NOTHING]):
            found, less = (scores([*others, one])[protocol, "lesion"] for one in (kept, missed))
            for name in ("dice", "iou"):
                assert not getattr(less, name) > getattr(found, name) + 1e-12 or math.isnan(getattr(less, name))
