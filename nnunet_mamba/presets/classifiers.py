"""Networks that tell what an image shows: Vision Mamba, and VMamba with VM-UNet's encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

ClassifierName = Literal["vim_tiny", "vim_cifar", "vmamba_tiny", "vmamba_small", "vm_unet_encoder"]

_ZHU = "Zhu et al. 2024, arXiv:2401.09417; github.com/hustvl/Vim"
_CREWS = "Crews and Whalen 2024, Mamba vs SOTA for Vision Tasks, section XI; github.com/lxaw/mamba-vs-else-vision"
_LIU = "Liu et al. 2024, arXiv:2401.10166; github.com/MzeroMiko/VMamba, version 0"
_RUAN = "Ruan et al. 2024, arXiv:2402.02491; github.com/JCruan519/VM-UNet"


@dataclass(frozen=True, kw_only=True)
class ClassifierPreset:
    """One classification network, and what was counted for it.

    Args:
        name: what ``create_network`` calls it.
        title: what its paper calls it.
        network: the module class as "package.module:Class", imported only when a network is built.
        source: paper and reference code that the numbers are taken from.
        arguments: the class's keyword arguments that make the network.
        reference_input: input channels and classes that the counts are for.
        image_size: pixels per axis that the counts are for.
        n_parameters: trainable parameters; a test builds the network and compares.
        giga_flops: 10⁹ floating-point operations with the scan, 2 per multiply-add, to five digits; a test counts them
            again.
    """

    name: ClassifierName
    title: str
    network: str
    source: str
    arguments: Mapping[str, Any]
    reference_input: tuple[int, int]
    image_size: tuple[int, int]
    n_parameters: int
    giga_flops: float


VIM_TINY = ClassifierPreset(
    name="vim_tiny",
    title="Vim-Ti",
    network="nnunet_mamba.networks.classifiers.vim:Vim",
    source=_ZHU,
    arguments=MappingProxyType({"image_size": 224, "patch_size": 16, "d_model": 192, "depth": 24}),
    reference_input=(3, 1000),
    image_size=(224, 224),
    n_parameters=7_148_008,
    giga_flops=3.116,
)

VIM_CIFAR = ClassifierPreset(
    name="vim_cifar",
    title="ViM on CIFAR",
    network="nnunet_mamba.networks.classifiers.vim:Vim",
    source=_CREWS,
    arguments=MappingProxyType({"image_size": 32, "patch_size": 4, "d_model": 168, "depth": 8}),
    reference_input=(3, 10),
    image_size=(32, 32),
    n_parameters=1_791_226,
    giga_flops=0.26884,
)

VMAMBA_TINY = ClassifierPreset(
    name="vmamba_tiny",
    title="VMamba-T, first generation",
    network="nnunet_mamba.networks.classifiers.vmamba:VMamba",
    source=_LIU,
    arguments=MappingProxyType({"dims": (96, 192, 384, 768), "depths": (2, 2, 9, 2)}),
    reference_input=(3, 1000),
    image_size=(224, 224),
    n_parameters=22_893_448,
    giga_flops=9.2747,
)

VMAMBA_SMALL = ClassifierPreset(
    name="vmamba_small",
    title="VMamba-S, first generation",
    network="nnunet_mamba.networks.classifiers.vmamba:VMamba",
    source=_LIU,
    arguments=MappingProxyType({"dims": (96, 192, 384, 768), "depths": (2, 2, 27, 2)}),
    # Drop path stays at the 0.1 of our class: a choice of ours, unlike the sizes.
    reference_input=(3, 1000),
    image_size=(224, 224),
    n_parameters=44_417_416,
    giga_flops=18.872,
)

VM_UNET_ENCODER = ClassifierPreset(
    name="vm_unet_encoder",
    title="VM-UNet's encoder with VMamba's head",
    network="nnunet_mamba.networks.classifiers.vmamba:VMamba",
    source=_RUAN,
    arguments=MappingProxyType({"dims": (96, 192, 384, 768), "depths": (2, 2, 2, 2), "drop_path_rate": 0.2}),
    reference_input=(3, 1000),
    image_size=(224, 224),
    n_parameters=14_523_016,
    giga_flops=5.5425,
)

# In the order in which they are listed.
_PRESETS = (VIM_TINY, VIM_CIFAR, VMAMBA_TINY, VMAMBA_SMALL, VM_UNET_ENCODER)
CLASSIFIERS: Mapping[str, ClassifierPreset] = MappingProxyType({preset.name: preset for preset in _PRESETS})
