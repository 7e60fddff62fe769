"""UltraLight VM-UNet, its six variants of the tumour papers, and the twin without Mamba."""

from nnunet_mamba.presets.preset import NO_VARIANTS, Preset, Size, Variants, photograph, variants, volume

_WU = "Wu et al. 2024, arXiv:2403.20035; github.com/wurenkai/UltraLight-VM-UNet"
_CREWS = "Crews and Whalen 2024, Mamba vs SOTA for Vision Tasks; github.com/lxaw/mamba-tumor-seg"


def _preset(
    *,
    name: str,
    title: str,
    trainer: str,
    source: str,
    sizes: tuple[Size, ...],
    variants: Variants = NO_VARIANTS,
) -> Preset:
    return Preset(
        name=name,
        title=title,
        trainer=trainer,
        network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
        source=source,
        sizes=sizes,
        from_plans_in_3d=("strides",),
        variants=variants,
        weights_known_by=r"\bebn\d",
    )


ULTRALIGHT_VM_UNET = _preset(
    name="ultralight_vm_unet",
    title="UltraLight VM-UNet",
    trainer="nnUNetTrainerUltraLightVM",
    source=_WU,
    sizes=(
        photograph(49_457, 0.06024, 0.14695, channels=(8, 16, 24, 32, 48, 64), n_parallel=4),
        volume(68_594, 1.049, 2.1315, channels=(8, 16, 24, 32, 48, 64), n_parallel=4),
    ),
    variants=variants(
        # Table 4.
        parallel1={"n_parallel": 1},
        parallel2={"n_parallel": 2},
        # Table 5; the network with convolutions on both sides is ULTRALIGHT_VM_UNET_NO_MAMBA.
        convEncoder={"encoder_mixer": "conv"},
        convDecoder={"decoder_mixer": "conv"},
    ),
)

UL_VM_UNET_V1 = _preset(
    name="ul_vm_unet_v1",
    title="UL-VM-UNet v1",
    trainer="nnUNetTrainerUltraLightVMv1",
    source=_CREWS,
    sizes=(
        photograph(217_165, 0.16652, 0.61573, channels=(16, 32, 64, 128, 256), n_parallel=4),
        volume(236_406, 2.7071, 5.9796, channels=(16, 32, 64, 128, 256), n_parallel=4),
    ),
)

UL_VM_UNET_V2 = _preset(
    name="ul_vm_unet_v2",
    title="UL-VM-UNet v2",
    trainer="nnUNetTrainerUltraLightVMv2",
    source=_CREWS,
    sizes=(
        photograph(42_737, 0.06024, 0.14445, channels=(8, 16, 24, 32, 48, 64), n_parallel=8),
        volume(61_874, 1.049, 2.1285, channels=(8, 16, 24, 32, 48, 64), n_parallel=8),
    ),
)

UL_VM_UNET_V3 = _preset(
    name="ul_vm_unet_v3",
    title="UL-VM-UNet v3",
    trainer="nnUNetTrainerUltraLightVMv3",
    source=_CREWS,
    sizes=(
        photograph(176_453, 0.16652, 0.55754, channels=(16, 32, 64, 128, 256), n_parallel=8),
        volume(195_694, 2.7071, 5.89, channels=(16, 32, 64, 128, 256), n_parallel=8),
    ),
)

UL_VM_UNET_V4 = _preset(
    name="ul_vm_unet_v4",
    title="UL-VM-UNet v4",
    trainer="nnUNetTrainerUltraLightVMv4",
    source=_CREWS,
    sizes=(
        photograph(
            1_135_309, 0.26389, 0.66864, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="all"
        ),
        volume(1_228_278, 3.7027, 7.5425, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="all"),
    ),
)

UL_VM_UNET_V5 = _preset(
    name="ul_vm_unet_v5",
    title="UL-VM-UNet v5",
    trainer="nnUNetTrainerUltraLightVMv5",
    source=_CREWS,
    sizes=(
        photograph(703_885, 0.25953, 0.65993, channels=(16, 32, 64, 128, 256, 512), n_parallel=8),
        volume(796_854, 3.6843, 7.5059, channels=(16, 32, 64, 128, 256, 512), n_parallel=8),
    ),
)

UL_VM_UNET_V6 = _preset(
    name="ul_vm_unet_v6",
    title="UL-VM-UNet v6",
    trainer="nnUNetTrainerUltraLightVMv6",
    source=_CREWS,
    sizes=(
        photograph(
            769_677, 0.2602, 0.66126, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="bottleneck"
        ),
        volume(
            862_646, 3.6871, 7.5115, channels=(16, 32, 64, 128, 256, 512), n_parallel=8, pyramid_pooling="bottleneck"
        ),
    ),
)

ULTRALIGHT_VM_UNET_NO_MAMBA = _preset(
    name="ultralight_vm_unet_no_mamba",
    title="UltraLight VM-UNet, convolutions for PVM",
    trainer="nnUNetTrainerUltraLightVMNoMamba",
    source="Table 5 of " + _WU,
    sizes=(
        photograph(
            123_655, 0.074773, 0.14908, channels=(8, 16, 24, 32, 48, 64), encoder_mixer="conv", decoder_mixer="conv"
        ),
        volume(336_328, 1.1111, 2.2194, channels=(8, 16, 24, 32, 48, 64), encoder_mixer="conv", decoder_mixer="conv"),
    ),
)

PRESETS = (
    ULTRALIGHT_VM_UNET,
    UL_VM_UNET_V1,
    UL_VM_UNET_V2,
    UL_VM_UNET_V3,
    UL_VM_UNET_V4,
    UL_VM_UNET_V5,
    UL_VM_UNET_V6,
    ULTRALIGHT_VM_UNET_NO_MAMBA,
)
