"""UMambaBot and UMambaBot-PP of the tumour papers."""

from nnunet_mamba.presets.preset import STAGES, Preset, photograph, volume

_CREWS = "Crews and Whalen 2024, Mamba-Based Tumor Segmentation; github.com/lxaw/mamba-tumor-seg"
_CREWS_V = "Crews and Whalen 2024, Mamba vs SOTA for Vision Tasks; github.com/lxaw/mamba-tumor-seg"
_WEIGHTS = r"encoder\.stem\.convs\."

U_MAMBA_BOT_TUMOUR = Preset(
    name="u_mamba_bot_tumour",
    title="UMambaBot of the tumour papers",
    trainer="nnUNetTrainerUMambaBotTumour",
    network="nnunet_mamba.networks.u_mamba_tumour:UMambaBotTumour",
    source=_CREWS,
    sizes=(
        photograph(9_813_700, 15.005, 27.589, features_per_stage=(32, 64, 128, 256, 512)),
        volume(24_653_656, 300.48, 544.41, features_per_stage=(32, 64, 128, 256, 512)),
    ),
    weights_known_by=_WEIGHTS,
)

U_MAMBA_BOT_PP = Preset(
    name="u_mamba_bot_pp",
    title="UMambaBot-PP",
    trainer="nnUNetTrainerUMambaBotPP",
    network="nnunet_mamba.networks.u_mamba_tumour:UMambaBotTumour",
    source=_CREWS_V,
    sizes=(
        photograph(10_076_356, 15.008, 27.594, features_per_stage=(32, 64, 128, 256, 512), pyramid_pooling=True),
        volume(24_916_312, 300.49, 544.43, features_per_stage=(32, 64, 128, 256, 512), pyramid_pooling=True),
    ),
    from_plans=STAGES,
    deep_supervision=True,
    weights_known_by=_WEIGHTS,
)

PRESETS = (
    U_MAMBA_BOT_TUMOUR,
    U_MAMBA_BOT_PP,
)
