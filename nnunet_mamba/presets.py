"""The published sizes of every network, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of a network, for images or for volumes, and what was counted for it.

    Args:
        arguments: the class's keyword arguments that make the network.
        reference_input: input channels and classes that the counts are for.
        image_size: pixels or voxels per axis that the counts are for.
        n_parameters: trainable parameters; a test builds the network and compares.
        giga_macs: 10⁹ multiply-adds by the papers' convention (``networks.complexity``), to five digits; a test counts
            them again.
        giga_flops: 10⁹ floating-point operations with the scan, 2 per multiply-add, to five digits; a test counts
            them again.
    """

    arguments: Mapping[str, Any]
    reference_input: tuple[int, int]
    image_size: tuple[int, ...]
    n_parameters: int
    giga_macs: float
    giga_flops: float

    @property
    def spatial_dims(self) -> int:
        """Number of image axes."""
        return len(self.image_size)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One published network.

    Args:
        name: what ``create_network`` calls it.
        title: what its paper calls it.
        trainer: what ``nnUNetv2_train -tr`` calls it.
        network: the module class as "package.module:Class", imported only when a network is built.
        source: paper and reference code that the numbers are taken from.
        sizes: one for images and, where the network exists in 3D, one for volumes.
        from_plans: keyword arguments that nnU-Net's plans decide in a training; in 2D and 3D, or in 3D alone.
        from_plans_in_3d: more of them that the plans decide for volumes alone.
        deep_supervision: whether it trains with a head at every resolution by itself; any other network has them if it
            is created with ``deep_supervision=True``.
    """

    name: str
    title: str
    trainer: str
    network: str
    source: str
    sizes: tuple[Size, ...]
    from_plans: tuple[str, ...] = ()
    from_plans_in_3d: tuple[str, ...] = ()
    deep_supervision: bool = False

    @property
    def spatial_dims(self) -> tuple[int, ...]:
        """Numbers of image axes that the network takes."""
        return tuple(size.spatial_dims for size in self.sizes)

    def size(self, spatial_dims: int) -> Size:
        """Return the size with this number of axes, one of ``spatial_dims``."""
        return next(size for size in self.sizes if size.spatial_dims == spatial_dims)


_WU = "Wu et al. 2024, arXiv:2403.20035; github.com/wurenkai/UltraLight-VM-UNet"
_MA = "Ma et al. 2024, arXiv:2401.04722; github.com/bowang-lab/U-Mamba"
_RUAN = "Ruan et al. 2024, arXiv:2402.02491; github.com/JCruan519/VM-UNet"
_FAN = "Fan et al. 2025, UltraLBM-UNet; github.com/LinLinLin-X/UltraLBM-UNet"
_CREWS = "Crews and Whalen 2024, Mamba-Based Tumor Segmentation; github.com/lxaw/mamba-tumor-seg"
_CREWS_V = "Crews and Whalen 2024, Mamba vs SOTA for Vision Tasks; github.com/lxaw/mamba-tumor-seg"

# What nnU-Net plans for 40×224×192 patches of abdominal CT.
_ANISOTROPIC_KERNELS = ((1, 3, 3), *((3, 3, 3),) * 5)
_ANISOTROPIC_STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
_STAGES = ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage", "n_conv_per_stage_decoder")


def _counted(reference_input: tuple[int, int], image_size: tuple[int, ...]) -> Callable[..., Size]:
    def size(n_parameters: int, giga_macs: float, giga_flops: float, **arguments: Any) -> Size:
        return Size(
            arguments=MappingProxyType(arguments),
            reference_input=reference_input,
            image_size=image_size,
            n_parameters=n_parameters,
            giga_macs=giga_macs,
            giga_flops=giga_flops,
        )

    return size


_photograph = _counted((3, 1), (256, 256))
_volume = _counted((1, 14), (64, 128, 128))
# The patches that nnU-Net plans for abdominal CT.
_slice = _counted((1, 14), (320, 320))
_thick_volume = _counted((1, 14), (40, 224, 192))

ULTRALIGHT_VM_UNET = Preset(
    name="ultralight_vm_unet",
    title="UltraLight VM-UNet",
    trainer="nnUNetTrainerUltraLightVM",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_WU,
    sizes=(
        _photograph(49_457, 0.06024, 0.14695, channels=(8, 16, 24, 32, 48, 64), n_parallel=4),
        _volume(68_594, 1.049, 2.1315, channels=(8, 16, 24, 32, 48, 64), n_parallel=4),
    ),
    from_plans_in_3d=("strides",),
)

UL_VM_UNET_V1 = Preset(
    name="ul_vm_unet_v1",
    title="UL-VM-UNet v1",
    trainer="nnUNetTrainerUltraLightVMv1",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_CREWS_V,
    sizes=(
        _photograph(217_165, 0.16652, 0.61573, channels=(16, 32, 64, 128, 256), n_parallel=4),
        _volume(236_406, 2.7071, 5.9796, channels=(16, 32, 64, 128, 256), n_parallel=4),
    ),
    from_plans_in_3d=("strides",),
)

UL_VM_UNET_V2 = Preset(
    name="ul_vm_unet_v2",
    title="UL-VM-UNet v2",
    trainer="nnUNetTrainerUltraLightVMv2",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_CREWS_V,
    sizes=(
        _photograph(42_737, 0.06024, 0.14445, channels=(8, 16, 24, 32, 48, 64), n_parallel=8),
        _volume(61_874, 1.049, 2.1285, channels=(8, 16, 24, 32, 48, 64), n_parallel=8),
    ),
    from_plans_in_3d=("strides",),
)

UL_VM_UNET_V3 = Preset(
    name="ul_vm_unet_v3",
    title="UL-VM-UNet v3",
    trainer="nnUNetTrainerUltraLightVMv3",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_CREWS_V,
    sizes=(
        _photograph(176_453, 0.16652, 0.55754, channels=(16, 32, 64, 128, 256), n_parallel=8),
        _volume(195_694, 2.7071, 5.89, channels=(16, 32, 64, 128, 256), n_parallel=8),
    ),
    from_plans_in_3d=("strides",),
)

UL_VM_UNET_V4 = Preset(
    name="ul_vm_unet_v4",
    title="UL-VM-UNet v4",
    trainer="nnUNetTrainerUltraLightVMv4",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_CREWS_V,
    sizes=(
        _photograph(
            1_135_309, 0.26389, 0.66864, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="all"
        ),
        _volume(1_228_278, 3.7027, 7.5425, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="all"),
    ),
    from_plans_in_3d=("strides",),
)

UL_VM_UNET_V5 = Preset(
    name="ul_vm_unet_v5",
    title="UL-VM-UNet v5",
    trainer="nnUNetTrainerUltraLightVMv5",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_CREWS_V,
    sizes=(
        _photograph(703_885, 0.25953, 0.65993, channels=(16, 32, 64, 128, 256, 512), n_parallel=8),
        _volume(796_854, 3.6843, 7.5059, channels=(16, 32, 64, 128, 256, 512), n_parallel=8),
    ),
    from_plans_in_3d=("strides",),
)

UL_VM_UNET_V6 = Preset(
    name="ul_vm_unet_v6",
    title="UL-VM-UNet v6",
    trainer="nnUNetTrainerUltraLightVMv6",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source=_CREWS_V,
    sizes=(
        _photograph(
            769_677, 0.2602, 0.66126, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="bottleneck"
        ),
        _volume(
            862_646, 3.6871, 7.5115, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="bottleneck"
        ),
    ),
    from_plans_in_3d=("strides",),
)

ULTRALIGHT_VM_UNET_NO_MAMBA = Preset(
    name="ultralight_vm_unet_no_mamba",
    title="UltraLight VM-UNet, convolutions for PVM",
    trainer="nnUNetTrainerUltraLightVMNoMamba",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source="Table 5 of " + _WU,
    sizes=(
        _photograph(
            123_655, 0.074773, 0.14908, channels=(8, 16, 24, 32, 48, 64), encoder_mixer="conv", decoder_mixer="conv"
        ),
        _volume(336_328, 1.1111, 2.2194, channels=(8, 16, 24, 32, 48, 64), encoder_mixer="conv", decoder_mixer="conv"),
    ),
    from_plans_in_3d=("strides",),
)

ULTRALBM_UNET = Preset(
    name="ultralbm_unet",
    title="UltraLBM-UNet",
    trainer="nnUNetTrainerUltraLBM",
    network="nnunet_mamba.networks.ultralbm_unet:UltraLBMUNet",
    source=_FAN,
    sizes=(
        _photograph(34_166, 0.060454, 0.12672, channels=(8, 16, 24, 32, 48, 64)),
        _volume(63_703, 0.94856, 1.9003, channels=(8, 16, 24, 32, 48, 64)),
    ),
    from_plans_in_3d=("strides",),
)

ULTRALBM_UNET_T = Preset(
    name="ultralbm_unet_t",
    title="UltraLBM-UNet-T",
    trainer="nnUNetTrainerUltraLBMT",
    network="nnunet_mamba.networks.ultralbm_unet:UltraLBMUNet",
    source=_FAN,
    sizes=(
        _photograph(10_956, 0.019283, 0.04106, channels=(4, 8, 12, 16, 24, 32)),
        _volume(21_123, 0.29836, 0.59802, channels=(4, 8, 12, 16, 24, 32)),
    ),
    from_plans_in_3d=("strides",),
)

ULTRALBM_UNET_NO_MAMBA = Preset(
    name="ultralbm_unet_no_mamba",
    title="UltraLBM-UNet, all LMBP",
    trainer="nnUNetTrainerUltraLBMNoMamba",
    network="nnunet_mamba.networks.ultralbm_unet:UltraLBMUNet",
    source="Table 2 of " + _FAN,
    sizes=(
        _photograph(30_390, 0.059168, 0.1169, channels=(8, 16, 24, 32, 48, 64), mixers=("lmbp", "lmbp", "lmbp")),
        _volume(80_391, 0.94865, 1.8953, channels=(8, 16, 24, 32, 48, 64), mixers=("lmbp", "lmbp", "lmbp")),
    ),
    from_plans_in_3d=("strides",),
)

VM_UNET = Preset(
    name="vm_unet",
    title="VM-UNet",
    trainer="nnUNetTrainerVMUNet",
    network="nnunet_mamba.networks.vm_unet:VMUNet",
    source=_RUAN,
    sizes=(
        _photograph(
            27_427_561,
            4.1119,
            13.542,
            dims=(96, 192, 384, 768),
            depths=(2, 2, 2, 2),
            depths_decoder=(2, 2, 2, 1),
            drop_path_rate=0.2,
        ),
    ),
)

VM_UNET_NO_MAMBA = Preset(
    name="vm_unet_no_mamba",
    title="VM-UNet without its scans",
    trainer="nnUNetTrainerVMUNetNoMamba",
    network="nnunet_mamba.networks.vm_unet:VMUNet",
    source=_RUAN,
    sizes=(
        _photograph(
            22_037_737,
            4.1119,
            8.1356,
            dims=(96, 192, 384, 768),
            depths=(2, 2, 2, 2),
            depths_decoder=(2, 2, 2, 1),
            drop_path_rate=0.2,
            scan=False,
        ),
    ),
)

U_MAMBA_BOT = Preset(
    name="u_mamba_bot",
    title="U-Mamba-Bot",
    trainer="nnUNetTrainerUMambaBot",
    network="nnunet_mamba.networks.u_mamba:UMambaBot",
    source=_MA,
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
    from_plans=_STAGES,
    deep_supervision=True,
)

U_MAMBA_ENC = Preset(
    name="u_mamba_enc",
    title="U-Mamba-Enc",
    trainer="nnUNetTrainerUMambaEnc",
    network="nnunet_mamba.networks.u_mamba:UMambaEnc",
    source=_MA,
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
    from_plans=(*_STAGES, "input_size"),
    deep_supervision=True,
)

U_MAMBA_NO_MAMBA = Preset(
    name="u_mamba_no_mamba",
    title="U-Mamba without its Mamba layer",
    trainer="nnUNetTrainerUMambaNoMamba",
    network="nnunet_mamba.networks.u_mamba:UMambaNoMamba",
    source=_MA,
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
    from_plans=_STAGES,
    deep_supervision=True,
)

U_MAMBA_BOT_TUMOUR = Preset(
    name="u_mamba_bot_tumour",
    title="UMambaBot of the tumour papers",
    trainer="nnUNetTrainerUMambaBotTumour",
    network="nnunet_mamba.networks.u_mamba_tumour:UMambaBotTumour",
    source=_CREWS,
    sizes=(
        _photograph(9_813_700, 15.005, 27.589, features_per_stage=(32, 64, 128, 256, 512)),
        _volume(24_653_656, 300.48, 544.41, features_per_stage=(32, 64, 128, 256, 512)),
    ),
)

U_MAMBA_BOT_PP = Preset(
    name="u_mamba_bot_pp",
    title="UMambaBot-PP",
    trainer="nnUNetTrainerUMambaBotPP",
    network="nnunet_mamba.networks.u_mamba_tumour:UMambaBotTumour",
    source=_CREWS_V,
    sizes=(
        _photograph(10_076_356, 15.008, 27.594, features_per_stage=(32, 64, 128, 256, 512), pyramid_pooling=True),
        _volume(24_916_312, 300.49, 544.43, features_per_stage=(32, 64, 128, 256, 512), pyramid_pooling=True),
    ),
    from_plans=_STAGES,
    deep_supervision=True,
)

# Every preset above, in its order.
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {preset.name: preset for preset in tuple(globals().values()) if isinstance(preset, Preset)}
)
