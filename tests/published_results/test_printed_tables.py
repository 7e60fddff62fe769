import pytest

from nnunet_mamba.published_results.printed_tables import for_datasets, ours, read_rows, standing_in
from nnunet_mamba.published_results.row import DICE, IOU, PARAMETERS, Column, Paper, Setting, Table

PAPER = Paper(name="p", title="P", authors="A", year=2024, source="arXiv:1")
TABLE = Table(paper=PAPER, number="Table 1", topic="t")
FIRST, SECOND = (Setting(dataset=name, split="s", n_test=1, protocol="pooled pixels") for name in ("first", "second"))
SCORES = (Column(heading="IoU", metric=IOU, unit="%"), Column(heading="DSC", metric=DICE, unit="%"))
COUNT = Column(heading="#", metric=PARAMETERS, unit="M")


def shown(rows):
    return [
        (row.setting.dataset, row.method, [(each.column.heading, each.shown) for each in row.values]) for row in rows
    ]


def test_a_line_is_a_method_with_single_spaces_and_its_numbers():
    rows = read_rows(
        TABLE,
        [FIRST],
        """
        U-Net            75.84 ± 1.26  86.25 ± 0.81  7.766
        2 A + B, C = 3   0.7           80            0.060
        """,
        columns=(*SCORES, COUNT),
    )

    assert shown(rows) == [
        ("first", "U-Net", [("IoU", "75.84 ± 1.26"), ("DSC", "86.25 ± 0.81"), ("#", "7.766")]),
        ("first", "2 A + B, C = 3", [("IoU", "0.7"), ("DSC", "80"), ("#", "0.060")]),
    ]


def test_columns_of_two_data_sets_make_two_rows_that_share_the_others():
    rows = read_rows(
        TABLE,
        [FIRST, SECOND],
        """
        A  7.0  1.1  1.2  2.1  2.2
        B  8.0  3.1  3.2  4.1  4.2
        """,
        columns=(COUNT, *for_datasets(SCORES, [FIRST, SECOND])),
    )

    assert shown(rows) == [
        ("first", "A", [("#", "7.0"), ("IoU", "1.1"), ("DSC", "1.2")]),
        ("first", "B", [("#", "8.0"), ("IoU", "3.1"), ("DSC", "3.2")]),
        ("second", "A", [("#", "7.0"), ("IoU", "2.1"), ("DSC", "2.2")]),
        ("second", "B", [("#", "8.0"), ("IoU", "4.1"), ("DSC", "4.2")]),
    ]


def test_a_dash_is_no_number():
    assert shown(read_rows(TABLE, [FIRST], "A  -  1.2", columns=SCORES)) == [("first", "A", [("DSC", "1.2")])]


def test_networks_and_remarks_go_to_their_methods():
    first, second = read_rows(
        TABLE,
        [FIRST],
        "A  1.1\nB  1.2",
        columns=(COUNT,),
        networks={"B": ours("vm_unet", depths=(1, 2))},
        remarks={"A": ("odd",)},
    )

    assert (first.network, first.remarks) == (None, ("odd",))
    assert (second.network.preset, dict(second.network.overrides)) == ("vm_unet", {"depths": (1, 2)})
    assert second.remarks == ()


def test_a_stand_in_is_beside_the_networks_and_has_its_remark():
    stand_ins = {"B": standing_in("vm_unet", "smaller", depths=(1, 2))}
    first, second = read_rows(
        TABLE, [FIRST], "A  1.1\nB  1.2", columns=(COUNT,), stand_ins=stand_ins, remarks={"B": ("odd",)}
    )

    assert (first.stand_in, first.shown_network) == (None, "")
    assert (second.network, second.stand_in.preset, second.remarks) == (None, "vm_unet", ("odd", "smaller"))
    assert second.shown_network == "stand-in: vm_unet, depths=(1, 2)"
    with pytest.raises(ValueError, match="Table 1 of p: B has a network and a stand-in, expected one of them"):
        read_rows(TABLE, [FIRST], "B  1.2", columns=(COUNT,), networks={"B": ours("vm_unet")}, stand_ins=stand_ins)


def test_refuses_a_line_with_too_few_or_too_many_numbers():
    with pytest.raises(ValueError, match="Table 1 of p, 'B': 1 numbers, expected 2"):
        read_rows(TABLE, [FIRST], "A  1.1  1.2\nB  1.1", columns=SCORES)
    with pytest.raises(ValueError, match=r"'A 1\.1': 1 numbers, expected 2; put two spaces between them$"):
        read_rows(TABLE, [FIRST], "A 1.1  1.2", columns=SCORES)
    with pytest.raises(ValueError, match="3 numbers, expected 2"):
        read_rows(TABLE, [FIRST], "A  1.1  1.2  1.3", columns=SCORES)


@pytest.mark.parametrize("text", ["1,1", ".9", "27.43M", "1.1±0.2", "1.1 ±", "--", "1.1%"])
def test_refuses_what_is_no_printed_number(text):
    with pytest.raises(ValueError, match="below 'DSC' is no printed number"):
        read_rows(TABLE, [FIRST], f"A  1.1  {text}", columns=SCORES)


def test_refuses_networks_and_remarks_of_no_method():
    with pytest.raises(ValueError, match="has no method C"):
        read_rows(TABLE, [FIRST], "A  1.1", columns=(COUNT,), networks={"C": ours("vm_unet")})
    with pytest.raises(ValueError, match="has no method C"):
        read_rows(TABLE, [FIRST], "A  1.1", columns=(COUNT,), stand_ins={"C": standing_in("vm_unet", "x")})
    with pytest.raises(ValueError, match="has no method B, C"):
        read_rows(TABLE, [FIRST], "A  1.1", columns=(COUNT,), remarks={"B": ("x",), "C": ("x",)})
