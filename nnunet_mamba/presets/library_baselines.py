"""Large networks of segmentation-models-pytorch and MONAI, which the extra ``baselines`` installs."""

from typing import Any

from nnunet_mamba.presets.preset import Preset, Size, photograph, variants, volume

_SMP = "github.com/qubvel-org/segmentation_models.pytorch"
_MONAI = "github.com/Project-MONAI/MONAI"
_ZHOU = "Zhou et al. 2018, arXiv:1807.10165"
_SMP_PACKAGES = ("segmentation_models_pytorch",)
_SMP_DECODER = (256, 128, 64, 32, 16)
# Of what the library saves.
_SMP_WEIGHTS = r"segmentation_head\."


def _preset(
    name: str, network: str, requires: tuple[str, ...], *, title: str, source: str, sizes: tuple[Size, ...], **more: Any
) -> Preset:
    module, _, class_name = network.partition(":")
    return Preset(
        name=name,
        title=title,
        trainer=f"nnUNetTrainer{class_name}",
        network=f"nnunet_mamba.networks.baselines.{module}:{class_name}",
        source=source,
        sizes=sizes,
        requires=requires,
        extra="baselines",
        **more,
    )


SMP_UNET = _preset(
    "smp_unet",
    "smp_networks:SmpUnet",
    _SMP_PACKAGES,
    title="U-Net with ResNet-18",
    source=f"Ronneberger et al. 2015, arXiv:1505.04597; {_SMP}",
    sizes=(photograph(14_328_209, 5.4273, 10.796, encoder="resnet18", decoder_channels=_SMP_DECODER),),
    # It stands in for the R50 U-Net of VM-UNet's Table II.
    variants=variants(resnet50={"encoder": "resnet50"}),
    weights_known_by=_SMP_WEIGHTS,
)

SMP_UNET_PLUS_PLUS = _preset(
    "smp_unet_plus_plus",
    "smp_networks:SmpUnetPlusPlus",
    _SMP_PACKAGES,
    title="UNet++ with ResNet-18",
    source=f"{_ZHOU}; {_SMP}",
    sizes=(photograph(15_970_449, 16.027, 31.935, encoder="resnet18", decoder_channels=_SMP_DECODER),),
    weights_known_by=_SMP_WEIGHTS,
)

SMP_SEGFORMER = _preset(
    "smp_segformer",
    "smp_networks:SmpSegformer",
    _SMP_PACKAGES,
    title="SegFormer-B1",
    source=f"Xie et al. 2021, arXiv:2105.15203; {_SMP}",
    sizes=(photograph(13_677_505, 3.3106, 6.8464, encoder="mit_b1", decoder_channels=256),),
    weights_known_by=_SMP_WEIGHTS,
)

SMP_DPT = _preset(
    "smp_dpt",
    "smp_networks:SmpDPT",
    _SMP_PACKAGES,
    title="DPT with ViT-S",
    source=f"Ranftl et al. 2021, arXiv:2103.13413; {_SMP}",
    sizes=(
        photograph(
            52_276_609,
            40.44,
            72.337,
            encoder="tu-vit_small_patch16_224",
            token_channels=(256, 512, 1024, 1024),
            decoder_channels=256,
            input_size=(256, 256),
        ),
    ),
    from_plans=("input_size",),
    weights_known_by=_SMP_WEIGHTS,
)

MONAI_ATTENTION_UNET = _preset(
    "monai_attention_unet",
    "monai_networks:MonaiAttentionUnet",
    ("monai",),
    title="Attention U-Net of MONAI",
    source=f"Oktay et al. 2018, arXiv:1804.03999; {_MONAI}",
    sizes=(
        photograph(31_740_337, 56.905, 84.531, features_per_stage=(64, 128, 256, 512, 1024)),
        volume(23_626_382, 291.41, 390.95, features_per_stage=(32, 64, 128, 256, 512)),
    ),
)

MONAI_UNET_PLUS_PLUS = _preset(
    "monai_unet_plus_plus",
    "monai_networks:MonaiUnetPlusPlus",
    ("monai",),
    title="UNet++ of MONAI",
    source=f"{_ZHOU}; {_MONAI}",
    sizes=(
        photograph(9_119_233, 38.513, 65.481, features_per_stage=(32, 64, 128, 256, 512), last_features=32),
        volume(6_980_174, 668.09, 1257.1, features_per_stage=(32, 32, 64, 128, 256), last_features=32),
    ),
)

MONAI_SWIN_UNETR = _preset(
    "monai_swin_unetr",
    "monai_networks:MonaiSwinUNETR",
    ("monai", "einops"),
    title="Swin UNETR",
    source=f"Hatamizadeh et al. 2022, arXiv:2201.01266; {_MONAI}",
    sizes=(
        photograph(6_302_875, 4.8277, 9.232, feature_size=24),
        volume(62_187_296, 391.71, 765.12, feature_size=48),
    ),
)

MONAI_UNETR = _preset(
    "monai_unetr",
    "monai_networks:MonaiUNETR",
    ("monai", "einops"),
    title="UNETR",
    source=f"Hatamizadeh et al. 2021, arXiv:2103.10504; {_MONAI}",
    sizes=(
        photograph(87_708_913, 26.406, 52.653, feature_size=16, hidden_size=768, input_size=(256, 256)),
        volume(92_814_766, 98.021, 173.95, feature_size=16, hidden_size=768, input_size=(64, 128, 128)),
    ),
    from_plans=("input_size",),
)

PRESETS = (
    SMP_UNET,
    SMP_UNET_PLUS_PLUS,
    SMP_SEGFORMER,
    SMP_DPT,
    MONAI_ATTENTION_UNET,
    MONAI_UNET_PLUS_PLUS,
    MONAI_SWIN_UNETR,
    MONAI_UNETR,
)
