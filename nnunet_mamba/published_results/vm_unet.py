"""The tables of VM-UNet: skin lesions, the organs of Synapse, and four ablations."""

from dataclasses import replace

from nnunet_mamba.published_results.printed_tables import for_datasets, ours, read_rows, standing_in
from nnunet_mamba.published_results.row import (
    ACCURACY,
    DICE,
    FLOPS,
    HD95,
    IOU,
    PARAMETERS,
    SENSITIVITY,
    SPECIFICITY,
    Column,
    Paper,
    Setting,
    Table,
)

PAPER = Paper(
    name="vm_unet",
    title="VM-UNet",
    authors="Ruan et al.",
    year=2024,
    source="arXiv:2402.02491, github.com/JCruan519/VM-UNet",
)

_CHOSEN_BY_THE_TEST = (
    "What is called mIoU is the IoU of the lesion.",
    "There are no validation images: in the published code, the test images choose the epoch.",
)
_ISIC17 = Setting(
    dataset="isic17",
    split="2150 images at 7:3: 1500 training, 650 test",
    n_test=650,
    protocol="pooled pixels",
    image_size="256×256",
    split_name="isic17-1500-650",
    notes=_CHOSEN_BY_THE_TEST,
)
_ISIC18 = Setting(
    dataset="isic18",
    split="2694 images at 7:3: 1886 training, 808 test",
    n_test=808,
    protocol="pooled pixels",
    image_size="256×256",
    split_name="isic18-1886-808",
    notes=_CHOSEN_BY_THE_TEST,
)
_SYNAPSE = Setting(
    dataset="synapse",
    split="30 CT scans, those of earlier papers: 18 training, 12 test",
    n_test=12,
    protocol="Synapse",
    image_size="224×224",
    split_name="synapse-18-12",
    notes=("HD95 is called mm, and the published code counts voxels.",),
)
_SKIN = (_ISIC17, _ISIC18)

_IOU = Column(heading="mIoU(%)", metric=IOU, unit="%")
_DSC = Column(heading="DSC(%)", metric=DICE, unit="%")
_SCORES = (
    _IOU,
    _DSC,
    Column(heading="Acc(%)", metric=ACCURACY, unit="%"),
    Column(heading="Spe(%)", metric=SPECIFICITY, unit="%"),
    Column(heading="Sen(%)", metric=SENSITIVITY, unit="%"),
)
_SKIN_NETWORKS = {"MALUNet": ours("malunet"), "VM-UNet": ours("vm_unet")}
_UNKNOWN_UNET = "The paper states neither widths nor parameters of this U-Net: it cannot be reproduced."
_UNET_PLUS_PLUS = standing_in(
    "monai_unet_plus_plus", "The paper states no size; MONAI's UNet++, of 9.119 M, stands in."
)
_ATTENTION_UNET = standing_in(
    "monai_attention_unet", "The paper states no size; MONAI's Attention U-Net, of 31.740 M, stands in."
)
_TABLE_I = Table(paper=PAPER, number="Table I", topic="comparison on ISIC 2017 and ISIC 2018")
_TABLE_I_ISIC17 = read_rows(
    _TABLE_I,
    [_ISIC17],
    """
    UNet        76.98  86.99  95.65  97.43  86.82
    UTNetV2     77.35  87.23  95.84  98.05  84.85
    TransFuse   79.21  88.40  96.17  97.98  87.14
    MALUNet     78.78  88.13  96.18  98.47  84.78
    VM-UNet     80.23  89.03  96.29  97.58  89.90
    """,
    columns=_SCORES,
    networks=_SKIN_NETWORKS,
    remarks={
        "UNet": (_UNKNOWN_UNET,),
        "VM-UNet": ("UltraLight VM-UNet's paper prints 0.9070 of it, on a split of 1250, 150 and 600 images.",),
    },
)
_TABLE_I_ISIC18 = read_rows(
    _TABLE_I,
    [_ISIC18],
    """
    UNet        77.86  87.55  94.05  96.69  85.86
    UNet++      78.31  87.83  94.02  95.75  88.65
    Att-UNet    78.43  87.91  94.13  96.23  87.60
    UTNetV2     78.97  88.25  94.32  96.48  87.60
    SANet       79.52  88.59  94.39  95.97  89.46
    TransFuse   80.63  89.27  94.66  95.74  91.28
    MALUNet     80.25  89.04  94.62  96.19  89.74
    VM-UNet     81.35  89.71  94.91  96.13  91.12
    """,
    columns=_SCORES,
    networks=_SKIN_NETWORKS,
    stand_ins={"UNet++": _UNET_PLUS_PLUS, "Att-UNet": _ATTENTION_UNET},
    remarks={
        "UNet": (_UNKNOWN_UNET,),
        "VM-UNet": ("UltraLight VM-UNet's paper prints 0.8891 of it, on a split of 1815, 259 and 520 images.",),
    },
)

_ORGANS = {
    "Aor.": "aorta",
    "Gal.": "gallbladder",
    "Kid.(L)": "left_kidney",
    "Kid.(R)": "right_kidney",
    "Liv.": "liver",
    "Pan.": "pancreas",
    "Spl.": "spleen",
    "Sto.": "stomach",
}
_TABLE_II = read_rows(
    Table(paper=PAPER, number="Table II", topic="comparison on Synapse, with the DSC of eight organs"),
    [_SYNAPSE],
    """
    V-Net          68.81  -      75.34  51.87  77.10  80.75  87.84  40.05  80.56  56.98
    DARR           69.77  -      74.74  53.77  72.31  73.24  94.08  54.18  89.90  45.96
    R50 U-Net      74.68  36.87  87.47  66.36  80.60  78.19  93.74  56.90  85.87  74.16
    UNet           76.85  39.70  89.07  69.72  77.77  68.60  93.43  53.98  86.67  75.58
    Att-UNet       77.77  36.02  89.55  68.88  77.98  71.11  93.57  58.04  87.30  75.75
    TransUnet      77.48  31.69  87.23  63.13  81.87  77.02  94.08  55.86  85.08  75.62
    TransNorm      78.40  30.25  86.23  65.10  82.18  78.63  94.22  55.34  89.50  76.01
    Swin U-Net     79.13  21.55  85.47  66.53  83.28  79.61  94.29  56.58  90.66  76.60
    TransDeepLab   80.16  21.25  86.04  69.16  84.08  79.88  93.53  61.19  89.00  78.40
    UCTransNet     78.23  26.75  -      -      -      -      -      -      -      -
    MT-UNet        78.59  26.59  87.92  64.99  81.47  77.29  93.06  59.46  87.75  76.81
    MEW-UNet       78.92  16.44  86.68  65.32  82.87  80.02  93.63  58.36  90.19  74.26
    VM-UNet        81.08  19.21  86.40  69.41  86.16  82.76  94.17  58.80  89.51  81.40
    """,
    columns=(
        Column(heading="DSC", metric=DICE, unit="%"),
        Column(heading="HD95", metric=HD95, unit="mm"),
        *(Column(heading=heading, metric=DICE, unit="%", label=organ) for heading, organ in _ORGANS.items()),
    ),
    networks={"VM-UNet": ours("vm_unet")},
    stand_ins={
        "R50 U-Net": standing_in(
            "smp_unet",
            "The paper states no size; what stands in is a U-Net with ResNet-50 as its encoder, of 32.521 M, without "
            "weights from ImageNet.",
            encoder="resnet50",
        ),
        "Att-UNet": _ATTENTION_UNET,
    },
    remarks={
        "R50 U-Net": ("The mean of its eight organs is 77.91 %.",),
        "UNet": (_UNKNOWN_UNET,),
    },
)

_TWO_SCORES = for_datasets((_IOU, _DSC), _SKIN)
_TABLE_III = read_rows(
    Table(paper=PAPER, number="Table III", topic="weights of VMamba that the training begins with", is_ablation=True),
    _SKIN,
    """
    none        77.59  87.38  78.66  88.06
    VMamba-T    78.85  88.17  79.04  88.29
    VMamba-S    80.23  89.03  81.35  89.71
    """,
    columns=_TWO_SCORES,
    networks={"none": ours("vm_unet"), "VMamba-T": ours("vm_unet"), "VMamba-S": ours("vm_unet")},
    remarks={"none": ("The table prints a dash for its name.",)},
)
_TABLE_IV = read_rows(
    Table(
        paper=PAPER,
        number="Table IV",
        topic="rates of dropout",
        is_ablation=True,
        remarks=("What the paper calls dropout is drop path in the published code.",),
    ),
    _SKIN,
    """
    0.0   80.45  89.17  79.33  88.47
    0.1   80.02  88.90  80.23  89.03
    0.2   80.23  89.03  81.35  89.71
    0.3   80.20  89.02  79.72  88.71
    """,
    columns=_TWO_SCORES,
    networks={
        "0.0": ours("vm_unet", drop_path_rate=0.0),
        "0.1": ours("vm_unet", drop_path_rate=0.1),
        "0.2": ours("vm_unet"),
        "0.3": ours("vm_unet", drop_path_rate=0.3),
    },
)
_TABLE_V = read_rows(
    Table(paper=PAPER, number="Table V", topic="blocks of the encoder's and the decoder's stages", is_ablation=True),
    _SKIN,
    """
    {2,2,2,2-2,2,2,1}   27.43  4.11  80.23  89.03  81.35  89.71
    {2,2,2,2-2,2,2,2}   27.53  4.35  79.23  88.41  80.74  89.34
    {2,2,3,2-2,3,2,2}   29.92  4.81  78.75  88.11  80.52  89.21
    {2,2,4,2-2,4,2,2}   32.32  5.27  79.37  88.50  81.13  89.58
    {2,2,9,2-2,9,2,2}   44.27  7.56  79.67  88.68  81.05  89.54
    """,
    columns=(
        Column(heading="#Params", metric=PARAMETERS, unit="M"),
        Column(heading="FLOPs", metric=FLOPS, unit="G"),
        *_TWO_SCORES,
    ),
    networks={
        "{2,2,2,2-2,2,2,1}": ours("vm_unet"),
        "{2,2,2,2-2,2,2,2}": ours("vm_unet", depths=(2, 2, 2, 2), depths_decoder=(2, 2, 2, 2)),
        "{2,2,3,2-2,3,2,2}": ours("vm_unet", depths=(2, 2, 3, 2), depths_decoder=(2, 3, 2, 2)),
        "{2,2,4,2-2,4,2,2}": ours("vm_unet", depths=(2, 2, 4, 2), depths_decoder=(2, 4, 2, 2)),
        "{2,2,9,2-2,9,2,2}": ours("vm_unet", depths=(2, 2, 9, 2), depths_decoder=(2, 9, 2, 2)),
    },
)
_TABLE_VI = read_rows(
    Table(paper=PAPER, number="Table VI", topic="sizes of the images", is_ablation=True),
    [replace(setting, image_size="") for setting in _SKIN],
    """
    256×256   80.23  89.03  81.35  89.71
    384×384   79.44  88.54  81.08  89.55
    512×512   70.88  82.96  72.36  83.96
    """,
    columns=_TWO_SCORES,
    networks={"256×256": ours("vm_unet"), "384×384": ours("vm_unet"), "512×512": ours("vm_unet")},
)

ROWS = (*_TABLE_I_ISIC17, *_TABLE_I_ISIC18, *_TABLE_II, *_TABLE_III, *_TABLE_IV, *_TABLE_V, *_TABLE_VI)
