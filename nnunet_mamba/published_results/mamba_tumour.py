"""The tables of two papers on Mamba for brain tumours: one data set of MRI slices, and the same figures in both."""

from collections.abc import Mapping

from nnunet_mamba.published_results.printed_tables import ours, read_rows
from nnunet_mamba.published_results.row import DICE, PARAMETERS, Column, OurNetwork, Paper, Setting, Table

_SEGVIT = "The text names SegViT among the networks; the table and the section on it have SegFormer."
SEGMENTATION_PAPER = Paper(
    name="mamba_tumour_segmentation",
    title="Mamba-Based Tumor Segmentation",
    authors="Crews and Whalen",
    year=2024,
    source="github.com/lxaw/mamba-tumor-seg",
    remarks=(
        _SEGVIT,
        "The text gives UL-VM-UNet-v5 1.1 M parameters, the table 0.7 M; v4 has 1.1 M.",
    ),
)
VISION_PAPER = Paper(
    name="mamba_vs_sota",
    title="Mamba vs SOTA for Vision Tasks",
    authors="Crews and Whalen",
    year=2024,
    source="github.com/lxaw/mamba-vs-else-vision",
    remarks=(
        _SEGVIT,
        "The text gives UL-VM-UNet_v5 1.1 M parameters, the table 0.7 M; v4 has 1.1 M.",
        "Section XI on the classification of images states results without a number.",
        "The figures are those of Mamba-Based Tumor Segmentation, so the two papers are one measurement.",
    ),
)

_LGG = Setting(
    dataset="lgg",
    split="slices of 110 patients: 3143 training, 393 validation, 393 test",
    n_test=393,
    protocol="batch-pooled",
    split_name="lgg-by-slice",
    notes=("The published code draws slices, so that patients are on both sides of the split.",),
)
_FIRST = "By our count it has 0.217 M parameters."


def _networks(separator: str) -> Mapping[str, OurNetwork]:
    """Return what we have, too; the papers write UMambaBot-PP and UMambaBot_PP."""
    return {
        f"UMambaBot{separator}PP": ours("u_mamba_bot_pp"),
        "UMambaBot": ours("u_mamba_bot_tumour"),
        "ResNet18": ours("resnet18_seg"),
        "ResNet50": ours("resnet50_seg"),
        "SegFormer": ours("segformer_tumour"),
        "UNet": ours("unet_tumour"),
        "UL-VM-UNet": ours("ultralight_vm_unet"),
        **{f"UL-VM-UNet{separator}v{number}": ours(f"ul_vm_unet_v{number}") for number in range(1, 6)},
    }


_SEGMENTATION = read_rows(
    Table(paper=SEGMENTATION_PAPER, number="Table I", topic="comparison on brain MRI of lower-grade gliomas"),
    [_LGG],
    """
    UMambaBot-PP    10.0   0.8867
    UMambaBot       9.8    0.8799
    ResNet18        13.9   0.8648
    ResNet50        42.9   0.8672
    SegFormer       17.8   0.8454
    UNet            7.8    0.8929
    UL-VM-UNet      0.049  0.79955
    UL-VM-UNet-v1   0.20   0.8409
    UL-VM-UNet-v2   0.042  0.8243
    UL-VM-UNet-v3   0.176  0.8109
    UL-VM-UNet-v4   1.1    0.8548
    UL-VM-UNet-v5   0.7    0.8633
    UL-VM-UNet-v6   0.77   0.8628
    """,
    columns=(
        Column(heading="#Params (M)", metric=PARAMETERS, unit="M"),
        Column(heading="Dice Score", metric=DICE),
    ),
    networks={**_networks("-"), "UL-VM-UNet-v6": ours("ul_vm_unet_v6")},
    remarks={"UL-VM-UNet-v1": (_FIRST,)},
)
_VISION = read_rows(
    Table(paper=VISION_PAPER, number="Table I", topic="comparison on brain MRI of lower-grade gliomas"),
    [_LGG],
    """
    UMambaBot_PP    10.0   0.8867
    UMambaBot       9.8    0.8799
    ResNet18        13.9   0.8648
    ResNet50        42.9   0.8672
    SegFormer       17.8   0.8454
    UNet            7.8    0.8929
    UL-VM-UNet      0.049  0.79955
    UL-VM-UNet_v1   0.20   0.8409
    UL-VM-UNet_v2   0.042  0.8243
    UL-VM-UNet_v3   0.176  0.8109
    UL-VM-UNet_v4   1.1    0.8548
    UL-VM-UNet_v5   0.7    0.8633
    """,
    columns=(
        Column(heading="Parameter Count (Millions)", metric=PARAMETERS, unit="M"),
        Column(heading="Dice Score", metric=DICE),
    ),
    networks=_networks("_"),
    remarks={"UL-VM-UNet_v1": (_FIRST,)},
)

ROWS = (*_SEGMENTATION, *_VISION)
