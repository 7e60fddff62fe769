import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.published_results import DATASETS, NETWORKS, PAPERS, ROWS


def invoke(*options):
    return CliRunner().invoke(app, ["papers", *options])


def run(*options):
    result = invoke(*options)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_rows_of_a_network_on_a_data_set_stand_with_source_split_protocol_and_remarks():
    assert run("--network", "ultralight_vm_unet", "--dataset", "isic18").splitlines() == [
        "Published figures, measured by others, each on its own split and under its own protocol.",
        "Compare a figure of yours only with one of the same protocol, split and image size.",
        "",
        "UltraLight VM-UNet, Table 2: comparison on ISIC 2018",
        "Wu et al. 2024, arXiv:2403.20035, github.com/wurenkai/UltraLight-VM-UNet",
        "",
        "isic18: 2594 images at random: 1815 training, 259 validation, 520 test; protocol: pooled pixels; "
        "images of 256×256",
        "The published script takes the images in the order of the folder, not at random.",
        "method              Parameters (Millions)  GFLOPs     DSC      SE      SP     ACC  our network",
        "UltraLight VM-UNet                  0.049   0.060  0.8940  0.8680  0.9781  0.9558  ultralight_vm_unet",
        "! UltraLight VM-UNet: A user reports a DSC of 0.8804 with the official weights (issue 72 of its code).",
        "! UltraLight VM-UNet: By the paper's own formulas, the row's SE, SP and ACC give a DSC of 0.888.",
        "",
        "UltraLBM-UNet, Table 1: comparison on ISIC 2017, ISIC 2018 and PH2",
        "Fan et al. 2025, github.com/LinLinLin-X/UltraLBM-UNet",
        "! The text cites Table 5 where it speaks of Table 4.",
        "! The text calls UltraLBM-UNet the second best on ISIC 2018; no row has a higher figure.",
        "",
        "isic18: 2694 images at random, 7:3 training and test; protocol: pooled pixels; images of 256×256",
        "± over three seeds",
        "There are no validation images: in the published code, the test images choose the epoch.",
        "method                    IoU(%)        DSC(%)  Params (M)  FLOPs (G)  our network",
        "UltraLight VM-UNet  78.93 ± 0.20  88.23 ± 0.13       0.045      0.069  ultralight_vm_unet",
        "! UltraLight VM-UNet: Its own paper prints 0.049 M and 0.060 G, and so do we count.",
    ]


def test_what_a_table_leaves_out_is_a_dash_and_columns_keep_their_order():
    lines = run("--dataset", "synapse").splitlines()
    assert next(line.split() for line in lines if line.startswith("method"))[1:4] == ["DSC", "HD95", "Aor."]
    assert next(line.split() for line in lines if line.startswith("V-Net"))[:4] == ["V-Net", "68.81", "-", "75.34"]
    assert next(line.split() for line in lines if line.startswith("UCTransNet"))[1:] == ["78.23", "26.75", *"-" * 8]


def test_an_ablation_shows_what_create_network_takes():
    lines = run("--paper", "ultralbm_unet", "--network", "ultralbm_unet").splitlines()
    assert any(line.endswith("ultralbm_unet, kernel_sizes=(7, 7, 7)") for line in lines)


def test_all_rows_are_listed_without_options():
    lines = run().splitlines()
    shown = [line for line in lines if any(line.startswith(f"{row.method}  ") for row in ROWS)]
    assert len(shown) == len(ROWS)


def test_json_has_all_of_a_row():
    rows = json.loads(run("--dataset", "isic18", "--network", "ultralight_vm_unet", "--json"))
    assert [(row["paper"], row["table"]) for row in rows] == [
        ("ultralight_vm_unet", "Table 2"),
        ("ultralbm_unet", "Table 1"),
    ]
    second = rows[1]
    assert second["values"][1] == {
        "metric": "dice",
        "label": None,
        "heading": "DSC(%)",
        "unit": "%",
        "printed": "88.23",
        "spread": "0.13",
        "value": 0.8823,
    }
    del second["values"]
    assert second == {
        "paper": "ultralbm_unet",
        "title": "UltraLBM-UNet",
        "authors": "Fan et al.",
        "year": 2025,
        "source": "github.com/LinLinLin-X/UltraLBM-UNet",
        "table": "Table 1",
        "topic": "comparison on ISIC 2017, ISIC 2018 and PH2",
        "is_ablation": False,
        "dataset": "isic18",
        "split": "2694 images at random, 7:3 training and test",
        "split_name": None,
        "n_test": None,
        "image_size": "256×256",
        "protocol": "pooled pixels",
        "spread_over": "three seeds",
        "method": "UltraLight VM-UNet",
        "network": "ultralight_vm_unet",
        "stand_in": None,
        "overrides": {},
        "trainer": "nnUNetTrainerUltraLightVM",
        "remarks": [
            "Its own paper prints 0.049 M and 0.060 G, and so do we count.",
            "The text calls UltraLBM-UNet the second best on ISIC 2018; no row has a higher figure.",
            "The text cites Table 5 where it speaks of Table 4.",
        ],
        "notes": ["There are no validation images: in the published code, the test images choose the epoch."],
    }


def test_a_stand_in_is_never_shown_as_the_network_itself():
    lines = run("--network", "monai_unet_plus_plus", "--dataset", "isic17").splitlines()
    (row,) = (line for line in lines if line.startswith("UNet++ "))
    assert row.endswith("34.903  stand-in: monai_unet_plus_plus")
    assert any(line.startswith("! UNet++: Its 9.163 M are those of UNet++ with bilinear upsampling") for line in lines)
    rows = json.loads(run("--network", "smp_unet", "--json"))
    assert [(row["method"], row["network"], row["stand_in"], row["overrides"]) for row in rows] == [
        ("R50 U-Net", None, "smp_unet", {"encoder": "resnet50"})
    ]


def test_json_names_overrides_and_no_network_of_ours():
    rows = json.loads(run("--paper", "vm_unet", "--json"))
    deepest = {"depths": [2, 2, 9, 2], "depths_decoder": [2, 9, 2, 2]}
    assert {row["trainer"] for row in rows if row["overrides"] == deepest} == {"nnUNetTrainerVMUNet_depths2292"}
    others = {(row["network"], bool(row["overrides"]), row["trainer"]) for row in rows if row["method"] == "UNet"}
    assert others == {(None, False, None)}
    distilled = json.loads(run("--paper", "ultralbm_unet", "--network", "ultralbm_unet_t", "--json"))
    trainers = {row["method"]: row["trainer"] for row in distilled if row["table"] == "Table 7"}
    assert trainers["w/o Distill"] == "nnUNetTrainerUltraLBMT"
    assert trainers["DKL+Att"] == "nnUNetTrainerUltraLBMTDistill_dklAtt"


@pytest.mark.parametrize("option", ["dataset", "network", "paper"])
def test_an_unknown_name_is_refused_with_all_that_there_are(option):
    result = invoke(f"--{option}", "no_such")
    known = {"dataset": DATASETS, "network": NETWORKS, "paper": PAPERS}[option]
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (f"Error: --{option} 'no_such' has no published rows, expected one of {', '.join(known)}\n")


def test_names_without_a_row_in_common_say_so():
    result = invoke("--dataset", "lgg", "--paper", "vm_unet")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "The papers have rows of each of these, and none of all together.\n"
    assert json.loads(run("--dataset", "lgg", "--paper", "vm_unet", "--json")) == []


def test_the_help_names_all_data_sets_and_papers():
    text = " ".join(run("--help").replace("│", " ").split())
    for name in (*DATASETS, *PAPERS):
        assert name in text


def test_imports_nothing_heavy():
    script = (
        "import sys; from nnunet_mamba.cli.main import app; app(['papers'], standalone_mode=False);"
        "print({'torch', 'numpy', 'pandas', 'nnunetv2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "set()"
