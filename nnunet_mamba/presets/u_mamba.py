"""U-Mamba with its Mamba layer at the bottleneck (Bot), along the encoder (Enc), and without any."""

from nnunet_mamba.presets.preset import STAGES, Preset, Size, counted

_MA = "Ma et al. 2024, arXiv:2401.04722; github.com/bowang-lab/U-Mamba"
# What nnU-Net plans for 40×224×192 patches of abdominal CT.
_ANISOTROPIC_KERNELS = ((1, 3, 3), *((3, 3, 3),) * 5)
_ANISOTROPIC_STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))

# The patches that nnU-Net plans for abdominal CT.
_slice = counted((1, 14), (320, 320))
_thick_volume = counted((1, 14), (40, 224, 192))


def _preset(
    *,
    name: str,
    title: str,
    trainer: str,
    network: str,
    sizes: tuple[Size, ...],
    from_plans: tuple[str, ...] = STAGES,
) -> Preset:
    return Preset(
        name=name,
        title=title,
        trainer=trainer,
        network=network,
        source=_MA,
        sizes=sizes,
        from_plans=from_plans,
        deep_supervision=True,
        weights_known_by=r"encoder\.stem\.0\.",
    )


U_MAMBA_BOT = _preset(
    name="u_mamba_bot",
    title="U-Mamba-Bot",
    trainer="nnUNetTrainerUMambaBot",
    network="nnunet_mamba.networks.u_mamba:UMambaBot",
    sizes=(
        _slice(47_533_012, 40.455, 80.566, features_per_stage=(32, 64, 128, 256, 512, 512, 512)),
        _thick_volume(
            41_945_158,
            783.43,
            1560.9,
            features_per_stage=(32, 64, 128, 256, 320, 320),
            kernel_sizes=_ANISOTROPIC_KERNELS,
            strides=_ANISOTROPIC_STRIDES,
        ),
    ),
)

U_MAMBA_ENC = _preset(
    name="u_mamba_enc",
    title="U-Mamba-Enc",
    trainer="nnUNetTrainerUMambaEnc",
    network="nnunet_mamba.networks.u_mamba:UMambaEnc",
    sizes=(
        _slice(47_015_538, 40.472, 86.008, features_per_stage=(32, 64, 128, 256, 512, 512, 512), input_size=(320, 320)),
        _thick_volume(
            42_842_798,
            783.8,
            1662.3,
            features_per_stage=(32, 64, 128, 256, 320, 320),
            kernel_sizes=_ANISOTROPIC_KERNELS,
            strides=_ANISOTROPIC_STRIDES,
            input_size=(40, 224, 192),
        ),
    ),
    from_plans=(*STAGES, "input_size"),
)

U_MAMBA_NO_MAMBA = _preset(
    name="u_mamba_no_mamba",
    title="U-Mamba without its Mamba layer",
    trainer="nnUNetTrainerUMambaNoMamba",
    network="nnunet_mamba.networks.u_mamba:UMambaNoMamba",
    sizes=(
        _slice(45_837_268, 40.455, 80.478, features_per_stage=(32, 64, 128, 256, 512, 512, 512)),
        _thick_volume(
            41_269_318,
            783.43,
            1560.6,
            features_per_stage=(32, 64, 128, 256, 320, 320),
            kernel_sizes=_ANISOTROPIC_KERNELS,
            strides=_ANISOTROPIC_STRIDES,
        ),
    ),
)

PRESETS = (
    U_MAMBA_BOT,
    U_MAMBA_ENC,
    U_MAMBA_NO_MAMBA,
)
