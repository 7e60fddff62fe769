"""MALUNet and EGE-UNet, light networks without a state space that the skin papers compare with."""

from nnunet_mamba.presets.preset import Preset, photograph

MALUNET = Preset(
    name="malunet",
    title="MALUNet",
    trainer="nnUNetTrainerMALUNet",
    network="nnunet_mamba.networks.baselines.malunet:MALUNet",
    source="Ruan et al. 2022, arXiv:2211.01784; github.com/JCruan519/MALUNet",
    sizes=(photograph(177_943, 0.082973, 0.16548, channels=(8, 16, 24, 32, 48, 64)),),
    weights_known_by=r"\.gau\.",
)

EGE_UNET = Preset(
    name="ege_unet",
    title="EGE-UNet",
    trainer="nnUNetTrainerEGEUNet",
    network="nnunet_mamba.networks.baselines.ege_unet:EGEUNet",
    source="Ruan et al. 2023, arXiv:2307.08473; github.com/JCruan519/EGE-UNet",
    sizes=(photograph(53_374, 0.072096, 0.14419, channels=(8, 16, 24, 32, 48, 64)),),
    deep_supervision=True,
    weights_known_by=r"\bGAB\d",
)

PRESETS = (
    MALUNET,
    EGE_UNET,
)
