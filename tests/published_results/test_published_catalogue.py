"""What is shipped of the papers: all of their tables, complete, in the names that other packages use."""

from collections import Counter

import pytest

from nnunet_mamba.data.converters.synapse import PAPERS_ORGANS
from nnunet_mamba.data.splits.published_splits import PUBLISHED_CASES, PUBLISHED_SIZES
from nnunet_mamba.evaluation.paper_protocols import PROTOCOLS
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.published_results import DATASETS, NETWORKS, PAPERS, ROWS, published_rows
from nnunet_mamba.published_results.row import DICE, FLOPS, METRICS, PARAMETERS, RATIOS, UNITS

# Rows of every table with results in the five papers, by data set.
N_ROWS = {
    ("ultralight_vm_unet", "Table 1"): {"isic17": 8},
    ("ultralight_vm_unet", "Table 2"): {"isic18": 8},
    ("ultralight_vm_unet", "Table 3"): {"ph2": 8},
    ("ultralight_vm_unet", "Table 4"): {"isic17": 3},
    ("ultralight_vm_unet", "Table 5"): {"isic17": 4},
    ("ultralbm_unet", "Table 1"): {"isic17": 16, "isic18": 16, "ph2": 16},
    ("ultralbm_unet", "Table 2"): {"isic17": 4},
    ("ultralbm_unet", "Table 3"): {"isic17": 8},
    ("ultralbm_unet", "Table 4"): {"isic17": 3},
    ("ultralbm_unet", "Table 5"): {"isic17": 6},
    ("ultralbm_unet", "Table 6"): {"isic17": 3},
    ("ultralbm_unet", "Table 7"): {"isic17": 6},
    ("vm_unet", "Table I"): {"isic17": 5, "isic18": 8},
    ("vm_unet", "Table II"): {"synapse": 13},
    ("vm_unet", "Table III"): {"isic17": 3, "isic18": 3},
    ("vm_unet", "Table IV"): {"isic17": 4, "isic18": 4},
    ("vm_unet", "Table V"): {"isic17": 5, "isic18": 5},
    ("vm_unet", "Table VI"): {"isic17": 3, "isic18": 3},
    ("mamba_tumour_segmentation", "Table I"): {"lgg": 13},
    ("mamba_vs_sota", "Table I"): {"lgg": 12},
}
N_NUMBERS = 813
# Rows whose numbers another paper contradicts, or users: what a remark must name.
CONTRADICTED = {
    ("ultralbm_unet", "Table 1", "UltraLight VM-UNet"): "0.049 M and 0.060 G",
    ("ultralbm_unet", "Table 1", "MALUNet"): "0.175 M",
    ("ultralight_vm_unet", "Table 1", "VM-UNet"): "89.03",
    ("vm_unet", "Table I", "VM-UNet"): "UltraLight VM-UNet's paper",
    ("ultralight_vm_unet", "Table 2", "UltraLight VM-UNet"): "0.8804",
    ("ultralbm_unet", "Table 2", "All LMBP"): "repeat those of All GLMBP",
}


def place(row):
    return row.table.paper.name, row.table.number


def test_every_table_of_the_papers_is_there_with_all_its_rows_in_the_order_of_print():
    found = {key: Counter(row.setting.dataset for row in ROWS if place(row) == key) for key in map(place, ROWS)}
    assert found == N_ROWS
    assert list(found) == list(N_ROWS)
    assert sum(len(row.values) for row in ROWS) == N_NUMBERS


def test_a_method_has_one_row_for_a_data_set_of_a_table():
    assert {
        key: n for key, n in Counter((*place(row), row.setting.dataset, row.method) for row in ROWS).items() if n > 1
    } == {}


def test_a_row_prints_each_metric_once_and_its_dice():
    for row in ROWS:
        columns = [(value.column.metric, value.column.label) for value in row.values]
        assert len(set(columns)) == len(columns), row
        assert (DICE, "") in columns, row


def test_rows_of_a_table_and_data_set_have_the_same_columns_but_for_dashes():
    dashes = {
        (row.method, len(row.values)) for row in ROWS if row.setting.dataset == "synapse" and len(row.values) < 10
    }
    assert dashes == {("V-Net", 9), ("DARR", 9), ("UCTransNet", 2)}
    others = [row for row in ROWS if row.setting.dataset != "synapse"]
    for key in {(*place(row), row.setting) for row in others}:
        of_table = [row for row in others if (*place(row), row.setting) == key]
        assert len({tuple(value.column for value in row.values) for row in of_table}) == 1, key


def test_numbers_lie_where_their_metric_can():
    for row in ROWS:
        for value in row.values:
            assert value.column.metric in METRICS
            assert value.column.unit in UNITS
            assert value.value > 0
            if value.column.metric in RATIOS:
                assert value.column.unit in ("", "%")
                assert 0.35 < value.value < 1, (row, value)
            assert bool(value.spread) == bool(
                row.table.number == "Table 1" and value.column.metric in RATIOS and row.setting.spread
            ), value


def test_parameters_are_millions_and_operations_milliards():
    for row in ROWS:
        for metric, unit in ((PARAMETERS, "M"), (FLOPS, "G")):
            assert (value := row.printed(metric)) is None or value.column.unit == unit


def test_names_are_those_of_other_packages():
    settings = {row.setting for row in ROWS}
    assert {setting.protocol for setting in settings} <= set(PROTOCOLS)
    assert {setting.split_name for setting in settings} - {""} <= PUBLISHED_SIZES.keys() | PUBLISHED_CASES.keys()
    assert set(NETWORKS) <= PRESETS.keys()
    assert {value.column.label for row in ROWS for value in row.values} - {""} == set(PAPERS_ORGANS)


def test_a_split_of_ours_has_the_papers_number_of_test_images():
    for setting in {row.setting for row in ROWS if row.setting.split_name}:
        split = PUBLISHED_SIZES.get(setting.split_name)
        n_test = len(PUBLISHED_CASES[setting.split_name].test) if split is None else split.n_test
        assert setting.n_test == n_test
        assert str(n_test) in setting.split


def test_what_the_papers_call_their_own_networks_is_linked_to_ours():
    titles = {preset.title for preset in PRESETS.values()} & {row.method for row in ROWS}
    assert {"VM-UNet", "UltraLight VM-UNet", "UltraLBM-UNet", "UltraLBM-UNet-T"} <= titles
    for row in ROWS:
        if row.method in titles:
            assert PRESETS[row.network.preset].title == row.method
            assert not row.network.overrides


def test_networks_of_the_tumour_papers_are_linked_by_their_numbers():
    for row in ROWS:
        if row.setting.dataset == "lgg" and row.method.startswith("UL-VM-UNet"):
            version = row.method.removeprefix("UL-VM-UNet").replace("-", "_")
            assert row.network.preset == (f"ul_vm_unet{version}" if version else "ultralight_vm_unet")


def test_the_rows_that_the_tumour_papers_compare_with_are_networks_of_ours_with_the_printed_sizes():
    rows = [row for row in ROWS if row.setting.dataset == "lgg"]
    assert all(row.network is not None for row in rows)
    for method, preset in {
        **{"UNet": "unet_tumour", "SegFormer": "segformer_tumour"},
        **{"ResNet18": "resnet18_seg", "ResNet50": "resnet50_seg"},
    }.items():
        of_method = [row for row in rows if row.method == method]
        assert len(of_method) == 2
        for row in of_method:
            printed = row.printed(PARAMETERS)
            assert row.network.preset == preset
            assert abs(PRESETS[preset].size(2).n_parameters - printed.value) <= printed.rounding


def test_only_ablations_have_overrides():
    assert {row.table.is_ablation for row in ROWS if row.network is not None and row.network.overrides} == {True}


def test_a_papers_own_network_stands_in_each_of_its_ablations_with_the_figures_of_its_comparison():
    own = {"ultralight_vm_unet": "UltraLight VM-UNet", "ultralbm_unet": "UltraLBM-UNet", "vm_unet": "VM-UNet"}
    ablations = {(*place(row), row.setting.dataset) for row in ROWS if row.table.is_ablation}
    for paper, table, dataset in ablations:
        if (paper, table) == ("ultralbm_unet", "Table 7"):
            continue
        method = next(
            row
            for row in ROWS
            if row.table.paper.name == paper and row.setting.dataset == dataset and row.method == own[paper]
        )
        rows = [row for row in ROWS if (*place(row), row.setting.dataset) == (paper, table, dataset)]
        assert any(row.printed(DICE).text == method.printed(DICE).text for row in rows), (paper, table)


def test_the_two_tumour_papers_print_the_same_figures():
    first, second = (
        {
            row.method.replace("_", "-"): [value.text for value in row.values]
            for row in ROWS
            if row.table.paper.name == paper
        }
        for paper in ("mamba_tumour_segmentation", "mamba_vs_sota")
    )
    assert first.keys() - second.keys() == {"UL-VM-UNet-v6"}
    assert {name: first[name] for name in second} == second


@pytest.mark.parametrize("key", CONTRADICTED, ids=" ".join)
def test_known_contradictions_are_told(key):
    rows = [row for row in ROWS if (*place(row), row.method) == key]
    assert rows
    for row in rows:
        assert CONTRADICTED[key] in " ".join(row.remarks)


def test_contradictions_of_the_texts_are_told_with_table_or_paper():
    tables = {place(row): " ".join(row.table.remarks) for row in ROWS}
    assert "0.62" in tables["ultralbm_unet", "Table 2"]
    assert "78.72" in tables["ultralbm_unet", "Table 6"]
    for name in ("mamba_tumour_segmentation", "mamba_vs_sota"):
        assert "SegViT" in " ".join(PAPERS[name].remarks)


def test_papers_and_data_sets_are_all_in_use():
    assert set(PAPERS) == {row.table.paper.name for row in ROWS}
    assert set(DATASETS) == {"isic17", "isic18", "ph2", "synapse", "lgg"}


def test_remarks_are_sentences():
    texts = [
        text
        for row in ROWS
        for text in (*row.remarks, *row.table.remarks, *row.table.paper.remarks, *row.setting.notes)
    ]
    assert texts
    assert [text for text in texts if not text.endswith(".") or "  " in text or "|" in text] == []


def test_rows_are_asked_for_by_data_set_paper_and_network():
    rows = published_rows(dataset="isic17", network="ultralight_vm_unet")
    assert [(*place(row), row.method) for row in rows] == [
        ("ultralight_vm_unet", "Table 1", "UltraLight VM-UNet"),
        ("ultralight_vm_unet", "Table 4", "1"),
        ("ultralight_vm_unet", "Table 4", "2"),
        ("ultralight_vm_unet", "Table 4", "3"),
        ("ultralight_vm_unet", "Table 5", "Baseline"),
        ("ultralight_vm_unet", "Table 5", "Encoder_Conv"),
        ("ultralight_vm_unet", "Table 5", "Decoder_Conv"),
        ("ultralbm_unet", "Table 1", "UltraLight VM-UNet"),
    ]
    assert len(published_rows(paper="vm_unet")) == 56
    assert {row.setting.dataset for row in published_rows(dataset="ph2")} == {"ph2"}
    assert published_rows(dataset="lgg", paper="vm_unet") == ()
    assert published_rows() == ROWS


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ({"dataset": "isic"}, "`dataset` 'isic' has no published rows, expected one of isic17, isic18"),
        ({"paper": "u_mamba"}, "`paper` 'u_mamba' has no published rows, expected one of ultralight_vm_unet"),
        ({"network": "u_mamba_bot"}, "`network` 'u_mamba_bot' has no published rows, expected one of vm_unet"),
    ],
)
def test_refuses_names_without_rows(asked, known):
    with pytest.raises(ValueError, match=known):
        published_rows(**asked)
