"""UltraLBM-UNet, its student, and the twin without Mamba."""

from collections.abc import Mapping
from types import MappingProxyType

from nnunet_mamba.presets.preset import NO_VARIANTS, Preset, Size, Variants, photograph, variants, volume

_FAN = "Fan et al. 2025, UltraLBM-UNet; github.com/LinLinLin-X/UltraLBM-UNet"


def _preset(
    *,
    name: str,
    title: str,
    trainer: str,
    sizes: tuple[Size, ...],
    source: str = _FAN,
    variants: Variants = NO_VARIANTS,
    training_variants: Mapping[str, Variants] = MappingProxyType({}),
) -> Preset:
    return Preset(
        name=name,
        title=title,
        trainer=trainer,
        network="nnunet_mamba.networks.ultralbm_unet:UltraLBMUNet",
        source=source,
        sizes=sizes,
        from_plans_in_3d=("strides",),
        other_trainers=tuple(training_variants),
        variants=variants,
        training_variants=training_variants,
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
    variants=variants(
        # Table 2; the network with local modules alone is ULTRALBM_UNET_NO_MAMBA.
        allGlobal={"mixers": ("glmbp", "glmbp", "glmbp")},
        oneGlobal={"mixers": ("lmbp", "lmbp", "glmbp")},
        # Table 3.
        forwardMamba={"directions": "forward"},
        unsharedMamba={"shared_mamba": False},
        selfAttention={"branches": ("attention", "attention", "conv", "identity")},
        oneMambaTwoConv={"branches": ("mamba", "conv", "conv", "identity")},
        twoMambaTwoConv={"branches": ("mamba", "mamba", "conv", "conv")},
        threeMambaOneConv={"branches": ("mamba", "mamba", "mamba", "conv")},
        twoMambaTwoIdentity={"branches": ("mamba", "mamba", "identity", "identity")},
        # Table 4.
        fourLocalConv={"local_branches": ("conv", "conv", "conv", "conv")},
        singleLocalConv={"mixers": ("conv", "glmbp", "glmbp")},
        # Table 5.
        kernels777={"kernel_sizes": (7, 7, 7)},
        kernels555={"kernel_sizes": (5, 5, 5)},
        kernels333={"kernel_sizes": (3, 3, 3)},
        kernels335={"kernel_sizes": (3, 3, 5)},
        kernels355={"kernel_sizes": (3, 5, 5)},
        # Table 6.
        noSkipScale={"skip_scale": "none"},
        stageSkipScale={"skip_scale": "stage"},
    ),
)

ULTRALBM_UNET_T = _preset(
    name="ultralbm_unet_t",
    title="UltraLBM-UNet-T",
    trainer="nnUNetTrainerUltraLBMT",
    sizes=(
        photograph(10_956, 0.019283, 0.04106, channels=(4, 8, 12, 16, 24, 32)),
        volume(21_123, 0.29836, 0.59802, channels=(4, 8, 12, 16, 24, 32)),
    ),
    training_variants=MappingProxyType(
        {
            # Table 7: weights of the loss's terms, where they differ from the full strategy's.
            "nnUNetTrainerUltraLBMTDistill": variants(
                kl={"kl": 1.0, "soft": 0.0, "attention": 0.0, "gradient": 0.0},
                dkl={"attention": 0.0, "gradient": 0.0},
                dklAtt={"gradient": 0.0},
                dklGrad={"attention": 0.0},
            )
        }
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
