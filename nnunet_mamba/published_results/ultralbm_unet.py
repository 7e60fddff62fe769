"""The tables of UltraLBM-UNet: sixteen light networks on three data sets of skin lesions, and six ablations."""

from nnunet_mamba.published_results.printed_tables import for_datasets, ours, ours_by, read_rows, standing_in
from nnunet_mamba.published_results.row import (
    DICE,
    FLOPS,
    IOU,
    PARAMETERS,
    Column,
    Paper,
    Setting,
    Table,
)

PAPER = Paper(
    name="ultralbm_unet",
    title="UltraLBM-UNet",
    authors="Fan et al.",
    year=2025,
    source="github.com/LinLinLin-X/UltraLBM-UNet",
    remarks=("The text cites Table 5 where it speaks of Table 4.",),
)

_CHOSEN_BY_THE_TEST = ("There are no validation images: in the published code, the test images choose the epoch.",)
_ISIC17 = Setting(
    dataset="isic17",
    split="2150 images at random, 7:3 training and test",
    n_test=None,
    protocol="pooled pixels",
    image_size="256×256",
    spread="three seeds",
    notes=_CHOSEN_BY_THE_TEST,
)
_ISIC18 = Setting(
    dataset="isic18",
    split="2694 images at random, 7:3 training and test",
    n_test=None,
    protocol="pooled pixels",
    image_size="256×256",
    spread="three seeds",
    notes=_CHOSEN_BY_THE_TEST,
)
_PH2 = Setting(
    dataset="ph2",
    split="all 200 images as an external test",
    n_test=200,
    protocol="pooled pixels",
    image_size="256×256",
    spread="six models, of ISIC 2017 and ISIC 2018",
)
_DATASETS = (_ISIC17, _ISIC18, _PH2)

_DISTILLED = "nnUNetTrainerUltraLBMTDistill"
_SCORES = (Column(heading="IoU(%)", metric=IOU, unit="%"), Column(heading="DSC(%)", metric=DICE, unit="%"))
_TABLE_1 = read_rows(
    Table(
        paper=PAPER,
        number="Table 1",
        topic="comparison on ISIC 2017, ISIC 2018 and PH2",
        remarks=("The text calls UltraLBM-UNet the second best on ISIC 2018; no row has a higher figure.",),
    ),
    _DATASETS,
    """
    U-Net  75.84 ± 1.26  86.25 ± 0.81  78.40 ± 0.53  87.89 ± 0.33  81.91 ± 1.14  90.05 ± 0.69  7.766  13.746
    UNet++  76.64 ± 0.76  86.77 ± 0.49  78.38 ± 0.35  87.88 ± 0.22  82.65 ± 0.98  90.50 ± 0.59  9.163  34.903
    Attention U-Net  77.02 ± 0.32  87.02 ± 0.21  78.46 ± 0.63  87.93 ± 0.40  83.22 ± 0.56  90.84 ± 0.33  34.879  66.632
    UNeXt  77.81 ± 0.65  87.52 ± 0.41  79.06 ± 0.19  88.30 ± 0.12  83.52 ± 1.09  91.02 ± 0.64  1.472  0.573
    MALUNet  78.71 ± 0.84  88.09 ± 0.53  79.42 ± 0.26  88.53 ± 0.16  83.83 ± 1.10  91.20 ± 0.65  0.178  0.083
    U-Lite  77.95 ± 0.63  87.61 ± 0.40  78.75 ± 0.39  88.11 ± 0.24  82.82 ± 1.76  90.59 ± 1.05  0.878  0.757
    EGE-UNet  78.32 ± 0.74  87.84 ± 0.46  79.45 ± 0.33  88.55 ± 0.21  83.36 ± 0.87  90.93 ± 0.52  0.053  0.072
    CMUNeXt-S  77.87 ± 0.29  87.56 ± 0.18  78.66 ± 0.17  88.06 ± 0.11  82.89 ± 0.93  90.64 ± 0.56  0.418  1.090
    Rolling-UNet-S  77.59 ± 0.42  87.38 ± 0.26  79.43 ± 0.17  88.53 ± 0.10  81.99 ± 2.30  90.09 ± 1.39  1.783  2.102
    TinyU-Net  77.89 ± 0.56  87.57 ± 0.36  78.49 ± 0.63  87.95 ± 0.39  82.48 ± 0.87  90.40 ± 0.53  0.481  1.659
    UltraLight VM-UNet  77.93 ± 0.38  87.59 ± 0.24  78.93 ± 0.20  88.23 ± 0.13  83.31 ± 1.35  90.89 ± 0.80  0.045  0.069
    MambaU-Lite  77.32 ± 0.40  87.21 ± 0.26  78.68 ± 0.78  88.07 ± 0.49  82.93 ± 0.98  90.66 ± 0.58  0.416  0.934
    U-KAN  77.71 ± 0.46  87.46 ± 0.29  79.59 ± 0.32  88.64 ± 0.20  84.02 ± 0.41  91.31 ± 0.25  25.359  6.889
    MK-UNet  78.57 ± 0.45  88.00 ± 0.28  79.45 ± 0.40  88.55 ± 0.25  83.85 ± 0.75  91.22 ± 0.44  0.316  0.328
    UltraLBM-UNet-T  78.57 ± 0.42  88.00 ± 0.27  78.82 ± 0.89  88.15 ± 0.56  84.92 ± 0.73  91.85 ± 0.42  0.011  0.019
    UltraLBM-UNet  79.82 ± 0.73  88.78 ± 0.45  79.94 ± 0.64  88.85 ± 0.39  84.41 ± 0.87  91.54 ± 0.51  0.034  0.060
    """,
    columns=(
        *for_datasets(_SCORES, _DATASETS),
        Column(heading="Params (M)", metric=PARAMETERS, unit="M"),
        Column(heading="FLOPs (G)", metric=FLOPS, unit="G"),
    ),
    networks={
        # By its numbers: both are ours to the last digit.
        "U-Net": ours("unet_tumour"),
        "UNeXt": ours("unext"),
        "U-Lite": ours("u_lite"),
        "CMUNeXt-S": ours("cmunext_s"),
        "MALUNet": ours("malunet"),
        "EGE-UNet": ours("ege_unet"),
        "UltraLight VM-UNet": ours("ultralight_vm_unet"),
        "UltraLBM-UNet-T": ours_by(_DISTILLED, "ultralbm_unet_t"),
        "UltraLBM-UNet": ours("ultralbm_unet"),
    },
    # The printed numbers are exactly those of the networks that these two remarks describe, by a formula in the tests.
    stand_ins={
        "UNet++": standing_in(
            "monai_unet_plus_plus",
            "Its 9.163 M are those of UNet++ with bilinear upsampling; MONAI's, of the same widths, has transposed "
            "convolutions that halve the channels, and 9.119 M.",
        ),
        "Attention U-Net": standing_in(
            "monai_attention_unet",
            "Its 34.879 M are those of upsampling with a convolution, and two convolutions after it; MONAI's, of the "
            "same widths, has a transposed convolution and one after it, and 31.740 M.",
        ),
    },
    remarks={
        "U-Net": ("Another width than the U-Net of UltraLight VM-UNet's tables, which has 2.009 M.",),
        "MambaU-Lite": (
            "Its published code builds 416 488 parameters and has no licence; this paper says nothing of the "
            "architecture.",
        ),
        "MALUNet": ("Its own paper prints 0.175 M, which leaves out its group norms.",),
        "UltraLight VM-UNet": ("Its own paper prints 0.049 M and 0.060 G, and so do we count.",),
        "UltraLBM-UNet-T": ("Trained with the distillation of Table 7.",),
    },
)

_ABLATION = (
    Column(heading="Params (M)", metric=PARAMETERS, unit="M"),
    Column(heading="FLOPs (G)", metric=FLOPS, unit="G"),
    Column(heading="IoU (%)", metric=IOU, unit="%"),
    Column(heading="DSC (%)", metric=DICE, unit="%"),
)
_OTHER_COUNT = "By our count it has {}."
_TABLE_2 = read_rows(
    Table(
        paper=PAPER,
        number="Table 2",
        topic="which stages have global (GLMBP) and which local (LMBP) modules",
        is_ablation=True,
        remarks=("The text says that the paper's network is 0.62 % better in IoU than one GLMBP; here it is 0.76.",),
    ),
    [_ISIC17],
    """
    All GLMBP        0.036  0.063  79.27  88.43
    All LMBP         0.036  0.063  78.86  88.18
    2 LMBP + GLMBP   0.032  0.060  79.06  88.30
    LMBP + 2 GLMBP   0.034  0.060  79.82  88.78
    """,
    columns=_ABLATION,
    networks={
        "All GLMBP": ours("ultralbm_unet", mixers=("glmbp", "glmbp", "glmbp")),
        "All LMBP": ours("ultralbm_unet_no_mamba"),
        "2 LMBP + GLMBP": ours("ultralbm_unet", mixers=("lmbp", "lmbp", "glmbp")),
        "LMBP + 2 GLMBP": ours("ultralbm_unet"),
    },
    remarks={
        "All LMBP": (
            f"Parameters and FLOPs repeat those of All GLMBP. {_OTHER_COUNT.format('0.030 M parameters and 0.059 G')}",
        )
    },
)
_DSC_OF_ANOTHER = "An IoU of {} % is a DSC of {} %, which the row of {} prints; the two DSC look exchanged."
_TABLE_3 = read_rows(
    Table(paper=PAPER, number="Table 3", topic="branches of the global module (GLMBP)", is_ablation=True),
    [_ISIC17],
    """
    Single-Direction Mamba            0.034  0.060  78.65  88.05
    Bi-Mamba (Unshared Weights)       0.043  0.06   78.19  87.76
    Bi-Self-Attention                 0.028  0.059  78.25  87.80
    2 DWConv + 1 Bi-Mamba +Identity   0.037  0.060  78.39  87.88
    2 DWConv + 2 Bi-Mamba             0.043  0.060  78.31  87.83
    1 DWConv + 3 Bi-Mamba             0.034  0.061  78.31  87.80
    2 Identity + 2 Bi-Mamba           0.031  0.061  78.25  87.84
    DWConv + 2 Bi-Mamba +Identity     0.034  0.060  79.82  88.78
    """,
    columns=_ABLATION,
    networks={
        "Single-Direction Mamba": ours("ultralbm_unet", directions="forward"),
        "Bi-Mamba (Unshared Weights)": ours("ultralbm_unet", shared_mamba=False),
        "Bi-Self-Attention": ours("ultralbm_unet", branches=("attention", "attention", "conv", "identity")),
        "2 DWConv + 1 Bi-Mamba +Identity": ours("ultralbm_unet", branches=("mamba", "conv", "conv", "identity")),
        "2 DWConv + 2 Bi-Mamba": ours("ultralbm_unet", branches=("mamba", "mamba", "conv", "conv")),
        "1 DWConv + 3 Bi-Mamba": ours("ultralbm_unet", branches=("mamba", "mamba", "mamba", "conv")),
        "2 Identity + 2 Bi-Mamba": ours("ultralbm_unet", branches=("mamba", "mamba", "identity", "identity")),
        "DWConv + 2 Bi-Mamba +Identity": ours("ultralbm_unet"),
    },
    remarks={
        "2 DWConv + 2 Bi-Mamba": (_OTHER_COUNT.format("0.037 M parameters"),),
        "1 DWConv + 3 Bi-Mamba": (_DSC_OF_ANOTHER.format("78.31", "87.84", "2 Identity + 2 Bi-Mamba"),),
        "2 Identity + 2 Bi-Mamba": (_DSC_OF_ANOTHER.format("78.25", "87.80", "1 DWConv + 3 Bi-Mamba"),),
    },
)
_TABLE_4 = read_rows(
    Table(paper=PAPER, number="Table 4", topic="branches of the local module (LMBP)", is_ablation=True),
    [_ISIC17],
    """
    4-DWConv (LMBP)            0.037  0.062  78.81  88.15
    Single-Branch Conv (k=3)   0.045  0.067  78.55  87.99
    3-DWConv + Identity        0.034  0.060  79.82  88.78
    """,
    columns=_ABLATION,
    networks={
        "4-DWConv (LMBP)": ours("ultralbm_unet", local_branches=("conv", "conv", "conv", "conv")),
        "Single-Branch Conv (k=3)": ours("ultralbm_unet", mixers=("conv", "glmbp", "glmbp")),
        "3-DWConv + Identity": ours("ultralbm_unet"),
    },
    remarks={
        "4-DWConv (LMBP)": (
            f"{_OTHER_COUNT.format('0.034 M parameters and 0.061 G')} The printed ones are those of kernels of 7.",
        )
    },
)
_TABLE_5 = read_rows(
    Table(paper=PAPER, number="Table 5", topic="kernel sizes of the stages", is_ablation=True),
    [_ISIC17],
    """
    Unified Kernel = 7   0.036  0.062  79.18  88.38
    Unified Kernel = 5   0.033  0.061  78.80  88.14
    Unified Kernel = 3   0.033  0.060  78.66  88.06
    Kernel = 3, 3, 5     0.033  0.060  78.80  88.14
    Kernel = 3, 5, 5     0.033  0.060  78.35  87.86
    Kernel = 3, 5, 7     0.034  0.060  79.82  88.78
    """,
    columns=_ABLATION,
    networks={
        "Unified Kernel = 7": ours("ultralbm_unet", kernel_sizes=(7, 7, 7)),
        "Unified Kernel = 5": ours("ultralbm_unet", kernel_sizes=(5, 5, 5)),
        "Unified Kernel = 3": ours("ultralbm_unet", kernel_sizes=(3, 3, 3)),
        "Kernel = 3, 3, 5": ours("ultralbm_unet", kernel_sizes=(3, 3, 5)),
        "Kernel = 3, 5, 5": ours("ultralbm_unet", kernel_sizes=(3, 5, 5)),
        "Kernel = 3, 5, 7": ours("ultralbm_unet"),
    },
    remarks={"Unified Kernel = 5": (_OTHER_COUNT.format("0.034 M parameters"),)},
)
_TABLE_6 = read_rows(
    Table(
        paper=PAPER,
        number="Table 6",
        topic="learnt scaling of the skip connections",
        is_ablation=True,
        remarks=("The text gives 78.72 % and 88.09 % without the scaling, the table 79.24 % and 88.42 %.",),
    ),
    [_ISIC17],
    """
    w/o          0.034  0.060  79.24  88.42
    Stage-wise   0.034  0.060  78.52  87.97
    w            0.034  0.060  79.82  88.78
    """,
    columns=_ABLATION,
    networks={
        "w/o": ours("ultralbm_unet", skip_scale="none"),
        "Stage-wise": ours("ultralbm_unet", skip_scale="stage"),
        "w": ours("ultralbm_unet"),
    },
)
_TABLE_7 = read_rows(
    Table(paper=PAPER, number="Table 7", topic="terms of the distillation for UltraLBM-UNet-T", is_ablation=True),
    [_ISIC17],
    """
    w/o Distill     0.011  0.019  77.30  87.20
    KL-Distill      0.011  0.019  77.39  87.25
    DKL-Distill     0.011  0.019  78.19  87.76
    DKL+Att         0.011  0.019  78.25  87.80
    DKL+Grad        0.011  0.019  77.91  87.58
    Full Strategy   0.011  0.019  78.57  88.00
    """,
    columns=_ABLATION,
    networks={
        "w/o Distill": ours("ultralbm_unet_t"),
        "KL-Distill": ours_by(f"{_DISTILLED}_kl", "ultralbm_unet_t"),
        "DKL-Distill": ours_by(f"{_DISTILLED}_dkl", "ultralbm_unet_t"),
        "DKL+Att": ours_by(f"{_DISTILLED}_dklAtt", "ultralbm_unet_t"),
        "DKL+Grad": ours_by(f"{_DISTILLED}_dklGrad", "ultralbm_unet_t"),
        "Full Strategy": ours_by(_DISTILLED, "ultralbm_unet_t"),
    },
)

ROWS = (*_TABLE_1, *_TABLE_2, *_TABLE_3, *_TABLE_4, *_TABLE_5, *_TABLE_6, *_TABLE_7)
