"""The tables of UltraLight VM-UNet: three data sets of skin lesions, and two ablations."""

from nnunet_mamba.published_results.printed_tables import ours, read_rows
from nnunet_mamba.published_results.row import (
    ACCURACY,
    DICE,
    FLOPS,
    PARAMETERS,
    SENSITIVITY,
    SPECIFICITY,
    Column,
    Paper,
    Setting,
    Table,
)

PAPER = Paper(
    name="ultralight_vm_unet",
    title="UltraLight VM-UNet",
    authors="Wu et al.",
    year=2024,
    source="arXiv:2403.20035, github.com/wurenkai/UltraLight-VM-UNet",
)

_IN_ORDER = ("The published script takes the images in the order of the folder, not at random.",)
_ISIC17 = Setting(
    dataset="isic17",
    split="2000 images at random: 1250 training, 150 validation, 600 test",
    n_test=600,
    protocol="pooled pixels",
    image_size="256×256",
    split_name="isic17-1250-150-600",
    notes=_IN_ORDER,
)
_ISIC18 = Setting(
    dataset="isic18",
    split="2594 images at random: 1815 training, 259 validation, 520 test",
    n_test=520,
    protocol="pooled pixels",
    image_size="256×256",
    split_name="isic18-1815-259-520",
    notes=_IN_ORDER,
)
_PH2 = Setting(
    dataset="ph2",
    split="all 200 images as an external test of what was trained on ISIC 2017",
    n_test=200,
    protocol="pooled pixels",
    image_size="256×256",
)

_COLUMNS = (
    Column(heading="Parameters (Millions)", metric=PARAMETERS, unit="M"),
    Column(heading="GFLOPs", metric=FLOPS, unit="G"),
    Column(heading="DSC", metric=DICE),
    Column(heading="SE", metric=SENSITIVITY),
    Column(heading="SP", metric=SPECIFICITY),
    Column(heading="ACC", metric=ACCURACY),
)
_UNKNOWN_UNET = (
    "No U-Net with these two numbers is known, and the paper states no widths: it cannot be reproduced. The one of "
    "UltraLBM-UNet's and the tumour papers' tables has 7.766 M."
)
_NETWORKS = {
    "VM-UNet": ours("vm_unet"),
    # By its numbers: the first version of its code, with 8 filters.
    "LightM-UNet": ours("lightm_unet"),
    "MALUNet": ours("malunet"),
    "UltraLight VM-UNet": ours("ultralight_vm_unet"),
}
_NO_GROUP_NORMS = "By our count it has 0.178 M; the printed number leaves out its group norms."


def _other_images(lesion: str, others: str) -> str:
    return (
        f"SE, SP and ACC together say that {lesion} % of the pixels are lesion, those of other rows {others} %, "
        "so the row has a misprint or other test images."
    )


def _other_dice(dice: str) -> str:
    return f"By the paper's own formulas, the row's SE, SP and ACC give a DSC of {dice}."


_TABLE_1 = read_rows(
    Table(paper=PAPER, number="Table 1", topic="comparison on ISIC 2017"),
    [_ISIC17],
    """
    U-Net                  2.009   3.224   0.8989  0.8793  0.9812  0.9613
    SCR-Net                0.801   1.567   0.8898  0.8497  0.9853  0.9588
    ATTENTION SWIN U-NET   46.910  14.181  0.8859  0.8492  0.9847  0.9591
    C²SDG                  22.001  7.972   0.8938  0.8859  0.9765  0.9588
    VM-UNet                27.427  4.112   0.9070  0.8837  0.9842  0.9645
    MALUNet                0.175   0.083   0.8896  0.8824  0.9762  0.9583
    LightM-UNet            0.403   0.391   0.9080  0.8839  0.9846  0.9649
    UltraLight VM-UNet     0.049   0.060   0.9091  0.9053  0.9790  0.9646
    """,
    columns=_COLUMNS,
    networks=_NETWORKS,
    remarks={
        "U-Net": (_UNKNOWN_UNET,),
        "ATTENTION SWIN U-NET": (_other_dice("0.887"), _other_images("18.9", "19.5")),
        "VM-UNet": ("Its own paper prints 89.03 % on a split of 1500 and 650 images.",),
        "MALUNet": (_NO_GROUP_NORMS, _other_images("19.1", "19.5")),
        "UltraLight VM-UNet": ("UltraLBM-UNet's paper prints 87.59 %, 0.045 M and 0.069 G of it, on a split of 7:3.",),
    },
)
_TABLE_2 = read_rows(
    Table(paper=PAPER, number="Table 2", topic="comparison on ISIC 2018"),
    [_ISIC18],
    """
    U-Net                  2.009   3.224   0.8851  0.8735  0.9744  0.9539
    SCR-Net                0.801   1.567   0.8886  0.8892  0.9714  0.9547
    ATTENTION SWIN U-NET   46.910  14.181  0.8540  0.8057  0.9826  0.9480
    C²SDG                  22.001  7.972   0.8806  0.8970  0.9643  0.9506
    VM-UNet                27.427  4.112   0.8891  0.8809  0.9743  0.9554
    MALUNet                0.175   0.083   0.8931  0.8890  0.9725  0.9548
    LightM-UNet            0.403   0.391   0.8898  0.8829  0.9765  0.9555
    UltraLight VM-UNet     0.049   0.060   0.8940  0.8680  0.9781  0.9558
    """,
    columns=_COLUMNS,
    networks=_NETWORKS,
    remarks={
        "U-Net": (_UNKNOWN_UNET,),
        "ATTENTION SWIN U-NET": (_other_dice("0.858"), _other_images("19.6", "20.3")),
        "VM-UNet": ("Its own paper prints 89.71 % on a split of 1886 and 808 images.",),
        "MALUNet": (_NO_GROUP_NORMS, _other_images("21.2", "20.3")),
        "LightM-UNet": (_other_dice("0.899"), _other_images("22.4", "20.3")),
        "UltraLight VM-UNet": (
            "A user reports a DSC of 0.8804 with the official weights (issue 72 of its code).",
            _other_dice("0.888"),
        ),
    },
)
_TABLE_3 = read_rows(
    Table(
        paper=PAPER,
        number="Table 3",
        topic="comparison on PH2",
        remarks=("It marks the SP of UltraLight VM-UNet as the best, and that of LightM-UNet is higher.",),
    ),
    [_PH2],
    """
    U-Net                  2.009   3.224   0.9060  0.9255  0.9440  0.9381
    SCR-Net                0.801   1.567   0.8989  0.9114  0.9446  0.9339
    ATTENTION SWIN U-NET   46.910  14.181  0.8850  0.8886  0.9363  0.9213
    C²SDG                  22.001  7.972   0.9030  0.9137  0.9476  0.9367
    VM-UNet                27.427  4.112   0.9033  0.9131  0.9483  0.9369
    MALUNet                0.175   0.083   0.8865  0.8922  0.9425  0.9263
    LightM-UNet            0.403   0.391   0.9156  0.9129  0.9613  0.9457
    UltraLight VM-UNet     0.049   0.060   0.9265  0.9345  0.9606  0.9521
    """,
    columns=_COLUMNS,
    networks=_NETWORKS,
    remarks={
        "U-Net": (_UNKNOWN_UNET,),
        "ATTENTION SWIN U-NET": (_other_dice("0.877"), _other_images("31.4", "32.2")),
        "MALUNet": (_NO_GROUP_NORMS,),
    },
)

_UNNAMED_DATA = "The paper names no data set; the row of the full network repeats ISIC 2017's in Table 1."
_THOP = "The package thop tells so many parameters, but overlooks bare ones; by our count it has {}."
_TABLE_4 = read_rows(
    Table(
        paper=PAPER,
        number="Table 4",
        topic="parallel Mambas: one, two or four, each with its part of the channels",
        is_ablation=True,
        remarks=(_UNNAMED_DATA,),
    ),
    [_ISIC17],
    """
    1  0.136  0.060  0.9069  0.8861  0.9834  0.9644
    2  0.070  0.060  0.9073  0.8866  0.9835  0.9645
    3  0.049  0.060  0.9091  0.9053  0.9790  0.9646
    """,
    columns=_COLUMNS,
    networks={
        "1": ours("ultralight_vm_unet", n_parallel=1),
        "2": ours("ultralight_vm_unet", n_parallel=2),
        "3": ours("ultralight_vm_unet"),
    },
)
_TABLE_5 = read_rows(
    Table(
        paper=PAPER,
        number="Table 5",
        topic="convolutions in place of the PVM layers",
        is_ablation=True,
        remarks=(_UNNAMED_DATA,),
    ),
    [_ISIC17],
    """
    Baseline       0.049  0.060  0.9091  0.9053  0.9790  0.9646
    Encoder_Conv   0.080  0.071  0.9033  0.8643  0.9880  0.9638
    Decoder_Conv   0.080  0.064  0.8958  0.8512  0.9881  0.9612
    (En+De)_Conv   0.123  0.075  0.9065  0.8784  0.9855  0.9645
    """,
    columns=_COLUMNS,
    networks={
        "Baseline": ours("ultralight_vm_unet"),
        "Encoder_Conv": ours("ultralight_vm_unet", encoder_mixer="conv"),
        "Decoder_Conv": ours("ultralight_vm_unet", decoder_mixer="conv"),
        "(En+De)_Conv": ours("ultralight_vm_unet_no_mamba"),
    },
    remarks={
        "Encoder_Conv": (_THOP.format("0.088 M"),),
        "Decoder_Conv": (_THOP.format("0.085 M"),),
    },
)

ROWS = (*_TABLE_1, *_TABLE_2, *_TABLE_3, *_TABLE_4, *_TABLE_5)
