"""The networks that the tumour papers compare with: a U-Net, two ResNets and SegFormer."""

from nnunet_mamba.presets.preset import Preset, photograph

_CREWS = "Crews and Whalen 2024, Mamba-Based Tumor Segmentation, table I; github.com/lxaw/mamba-tumor-seg"
# Of torchvision's classification networks.
_RESNET_WEIGHTS = r"layer4\.0\.conv1\."

UNET_TUMOUR = Preset(
    name="unet_tumour",
    title="U-Net of the tumour papers",
    trainer="nnUNetTrainerUNetTumour",
    network="nnunet_mamba.networks.baselines.unet_tumour:UNetTumour",
    source=_CREWS,
    sizes=(photograph(7_765_985, 13.746, 24.142, features_per_stage=(32, 64, 128, 256, 512)),),
)

RESNET18_SEG = Preset(
    name="resnet18_seg",
    title="ResNet18 of the tumour papers",
    trainer="nnUNetTrainerResNet18Seg",
    network="nnunet_mamba.networks.baselines.resnet_seg:ResNetSeg",
    source=_CREWS,
    sizes=(
        photograph(
            13_930_497,
            4.0091,
            5.5512,
            blocks_per_stage=(2, 2, 2, 2),
            bottleneck=False,
            decoder_channels=(256, 128, 64),
        ),
    ),
    weights_known_by=_RESNET_WEIGHTS,
)

RESNET50_SEG = Preset(
    name="resnet50_seg",
    title="ResNet50 of the tumour papers",
    trainer="nnUNetTrainerResNet50Seg",
    network="nnunet_mamba.networks.baselines.resnet_seg:ResNetSeg",
    source=_CREWS,
    sizes=(
        photograph(
            42_909_633,
            14.02,
            14.988,
            blocks_per_stage=(3, 4, 6, 3),
            bottleneck=True,
            decoder_channels=(512, 256, 128),
        ),
    ),
    weights_known_by=_RESNET_WEIGHTS,
)

SEGFORMER_TUMOUR = Preset(
    name="segformer_tumour",
    title="SegFormer of the tumour papers",
    trainer="nnUNetTrainerSegFormerTumour",
    network="nnunet_mamba.networks.baselines.segformer_tumour:SegFormerTumour",
    source=_CREWS,
    sizes=(
        photograph(
            17_782_913,
            3.8625,
            8.1393,
            dims=(64, 128, 256, 512),
            depths=(3, 4, 6, 3),
            n_heads=(1, 2, 4, 8),
            decoder_channels=256,
        ),
    ),
)

PRESETS = (
    UNET_TUMOUR,
    RESNET18_SEG,
    RESNET50_SEG,
    SEGFORMER_TUMOUR,
)
