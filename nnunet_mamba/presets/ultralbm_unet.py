"""UltraLBM-UNet, its student, and the twin without Mamba."""

from nnunet_mamba.presets.preset import Preset, Size, photograph, volume

_FAN = "Fan et al. 2025, UltraLBM-UNet; github.com/LinLinLin-X/UltraLBM-UNet"


def _preset(
    *,
    name: str,
    title: str,
    trainer: str,
    sizes: tuple[Size, ...],
    source: str = _FAN,
    other_trainers: tuple[str, ...] = (),
) -> Preset:
    return Preset(
        name=name,
        title=title,
        trainer=trainer,
        network="nnunet_mamba.networks.ultralbm_unet:UltraLBMUNet",
        source=source,
        sizes=sizes,
        from_plans_in_3d=("strides",),
        other_trainers=other_trainers,
        weights_known_by=r"\bebn\d",
    )


ULTRALBM_UNET = _preset(
    name="ultralbm_unet",
    title="UltraLBM-UNet",
    trainer="nnUNetTrainerUltraLBM",
    sizes=(
        photograph(34_166, 0.060454, 0.12672, channels=(8, 16, 24, 32, 48, 64)),
        volume(63_703, 0.94856, 1.9003, channels=(8, 16, 24, 32, 48, 64)),
    ),
)

ULTRALBM_UNET_T = _preset(
    name="ultralbm_unet_t",
    title="UltraLBM-UNet-T",
    trainer="nnUNetTrainerUltraLBMT",
    other_trainers=("nnUNetTrainerUltraLBMTDistill",),
    sizes=(
        photograph(10_956, 0.019283, 0.04106, channels=(4, 8, 12, 16, 24, 32)),
        volume(21_123, 0.29836, 0.59802, channels=(4, 8, 12, 16, 24, 32)),
    ),
)

ULTRALBM_UNET_NO_MAMBA = _preset(
    name="ultralbm_unet_no_mamba",
    title="UltraLBM-UNet, all LMBP",
    trainer="nnUNetTrainerUltraLBMNoMamba",
    source="Table 2 of " + _FAN,
    sizes=(
        photograph(30_390, 0.059168, 0.1169, channels=(8, 16, 24, 32, 48, 64), mixers=("lmbp", "lmbp", "lmbp")),
        volume(80_391, 0.94865, 1.8953, channels=(8, 16, 24, 32, 48, 64), mixers=("lmbp", "lmbp", "lmbp")),
    ),
)

PRESETS = (
    ULTRALBM_UNET,
    ULTRALBM_UNET_T,
    ULTRALBM_UNET_NO_MAMBA,
)
