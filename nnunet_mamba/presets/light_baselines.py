"""The light networks that the skin lesion papers compare with: UNeXt, U-Lite, CMUNeXt-S and LightM-UNet."""

from nnunet_mamba.presets.preset import Preset, photograph

_LIAO = "Liao et al. 2024, arXiv:2403.05246; github.com/MrBlankness/LightM-UNet"
_LIGHTM_UNET = "nnunet_mamba.networks.baselines.lightm_unet:LightMUNet"
_LIGHTM_WEIGHTS = r"\bconvInit\."

UNEXT = Preset(
    name="unext",
    title="UNeXt",
    trainer="nnUNetTrainerUNeXt",
    network="nnunet_mamba.networks.baselines.unext:UNeXt",
    source="Valanarasu and Patel 2022, arXiv:2203.04967; github.com/jeya-maria-jose/UNeXt-pytorch",
    sizes=(photograph(1_471_921, 0.57302, 1.124, channels=(16, 32, 128, 160, 256)),),
    weights_known_by=r"\bdblock\d",
)

U_LITE = Preset(
    name="u_lite",
    title="U-Lite",
    trainer="nnUNetTrainerULite",
    network="nnunet_mamba.networks.baselines.u_lite:ULite",
    source="Dinh et al. 2023, arXiv:2306.16103; github.com/duong-db/U-Lite",
    sizes=(photograph(878_417, 0.75696, 1.473, channels=(16, 32, 64, 128, 256, 512)),),
    weights_known_by=r"\bdw_h\.",
)

CMUNEXT_S = Preset(
    name="cmunext_s",
    title="CMUNeXt-S",
    trainer="nnUNetTrainerCMUNeXtS",
    network="nnunet_mamba.networks.baselines.cmunext:CMUNeXt",
    source="Tang et al. 2024, arXiv:2308.01239; github.com/FengheTan9/CMUNeXt",
    sizes=(
        photograph(
            417_505,
            1.0901,
            2.0248,
            channels=(8, 16, 32, 64, 128),
            blocks_per_stage=(1, 1, 1, 1, 1),
            kernel_sizes=(3, 3, 7, 7, 9),
        ),
    ),
    weights_known_by=r"\bUp_conv\d",
)

# The network of UltraLight VM-UNet's tables: the first version of the published code.
LIGHTM_UNET = Preset(
    name="lightm_unet",
    title="LightM-UNet",
    trainer="nnUNetTrainerLightMUNet",
    network=_LIGHTM_UNET,
    source=f"{_LIAO} (first version)",
    sizes=(photograph(403_302, 0.39073, 3.5752, base_filters=8, blocks_per_stage=(1, 2, 2, 4), separable=False),),
    weights_known_by=_LIGHTM_WEIGHTS,
)

# The network of the published trainer.
LIGHTM_UNET_32 = Preset(
    name="lightm_unet_32",
    title="LightM-UNet, 32 filters",
    trainer="nnUNetTrainerLightMUNet32",
    network=_LIGHTM_UNET,
    source=f"{_LIAO} (second version)",
    sizes=(photograph(5_011_732, 2.1283, 28.618, base_filters=32, blocks_per_stage=(1, 2, 2, 4), separable=True),),
    weights_known_by=_LIGHTM_WEIGHTS,
)

PRESETS = (
    UNEXT,
    U_LITE,
    CMUNEXT_S,
    LIGHTM_UNET,
    LIGHTM_UNET_32,
)
