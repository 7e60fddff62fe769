"""The published sizes of every network, as data: one file per family of papers, no torch."""

from collections.abc import Mapping
from types import MappingProxyType

from nnunet_mamba.presets import (
    library_baselines,
    light_baselines,
    malunet,
    tumour_baselines,
    u_mamba,
    u_mamba_tumour,
    ultralbm_unet,
    ultralight_vm_unet,
    vm_unet,
)
from nnunet_mamba.presets.classifiers import CLASSIFIERS, ClassifierName, ClassifierPreset
from nnunet_mamba.presets.library_baselines import (
    MONAI_ATTENTION_UNET,
    MONAI_SWIN_UNETR,
    MONAI_UNET_PLUS_PLUS,
    MONAI_UNETR,
    SMP_DPT,
    SMP_SEGFORMER,
    SMP_UNET,
    SMP_UNET_PLUS_PLUS,
)
from nnunet_mamba.presets.light_baselines import CMUNEXT_S, LIGHTM_UNET, LIGHTM_UNET_32, U_LITE, UNEXT
from nnunet_mamba.presets.malunet import EGE_UNET, MALUNET
from nnunet_mamba.presets.preset import Preset, Size
from nnunet_mamba.presets.tumour_baselines import RESNET18_SEG, RESNET50_SEG, SEGFORMER_TUMOUR, UNET_TUMOUR
from nnunet_mamba.presets.u_mamba import U_MAMBA_BOT, U_MAMBA_ENC, U_MAMBA_NO_MAMBA
from nnunet_mamba.presets.u_mamba_tumour import U_MAMBA_BOT_PP, U_MAMBA_BOT_TUMOUR
from nnunet_mamba.presets.ultralbm_unet import ULTRALBM_UNET, ULTRALBM_UNET_NO_MAMBA, ULTRALBM_UNET_T
from nnunet_mamba.presets.ultralight_vm_unet import (
    UL_VM_UNET_V1,
    UL_VM_UNET_V2,
    UL_VM_UNET_V3,
    UL_VM_UNET_V4,
    UL_VM_UNET_V5,
    UL_VM_UNET_V6,
    ULTRALIGHT_VM_UNET,
    ULTRALIGHT_VM_UNET_NO_MAMBA,
)
from nnunet_mamba.presets.vm_unet import VM_UNET, VM_UNET_NO_MAMBA

__all__ = [
    "CLASSIFIERS",
    "CMUNEXT_S",
    "EGE_UNET",
    "LIGHTM_UNET",
    "LIGHTM_UNET_32",
    "MALUNET",
    "MONAI_ATTENTION_UNET",
    "MONAI_SWIN_UNETR",
    "MONAI_UNETR",
    "MONAI_UNET_PLUS_PLUS",
    "PRESETS",
    "RESNET18_SEG",
    "RESNET50_SEG",
    "SEGFORMER_TUMOUR",
    "SMP_DPT",
    "SMP_SEGFORMER",
    "SMP_UNET",
    "SMP_UNET_PLUS_PLUS",
    "ULTRALBM_UNET",
    "ULTRALBM_UNET_NO_MAMBA",
    "ULTRALBM_UNET_T",
    "ULTRALIGHT_VM_UNET",
    "ULTRALIGHT_VM_UNET_NO_MAMBA",
    "UL_VM_UNET_V1",
    "UL_VM_UNET_V2",
    "UL_VM_UNET_V3",
    "UL_VM_UNET_V4",
    "UL_VM_UNET_V5",
    "UL_VM_UNET_V6",
    "UNET_TUMOUR",
    "UNEXT",
    "U_LITE",
    "U_MAMBA_BOT",
    "U_MAMBA_BOT_PP",
    "U_MAMBA_BOT_TUMOUR",
    "U_MAMBA_ENC",
    "U_MAMBA_NO_MAMBA",
    "VM_UNET",
    "VM_UNET_NO_MAMBA",
    "ClassifierName",
    "ClassifierPreset",
    "Preset",
    "Size",
]

# In the order in which they are listed.
_FAMILIES: tuple[tuple[Preset, ...], ...] = (
    ultralight_vm_unet.PRESETS,
    ultralbm_unet.PRESETS,
    vm_unet.PRESETS,
    u_mamba.PRESETS,
    u_mamba_tumour.PRESETS,
    tumour_baselines.PRESETS,
    light_baselines.PRESETS,
    malunet.PRESETS,
    library_baselines.PRESETS,
)
_BY_NAME: dict[str, Preset] = {preset.name: preset for family in _FAMILIES for preset in family}
PRESETS: Mapping[str, Preset] = MappingProxyType(_BY_NAME)
