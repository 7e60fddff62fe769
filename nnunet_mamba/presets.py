"""The published sizes of every network, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One published configuration of one network.

    Args:
        name: what ``create_network`` calls it.
        network: the module class as "package.module:Class", imported only when a network is built.
        source: paper and reference code that the numbers are taken from.
        spatial_dims: numbers of image axes that the network takes.
        arguments: the class's keyword arguments that make the published network.
        n_parameters: trainable parameters for ``reference_input``; a test builds the network and compares.
        reference_input: input channels and classes that ``n_parameters`` is counted for.
    """

    name: str
    network: str
    source: str
    spatial_dims: tuple[int, ...]
    arguments: Mapping[str, Any] = field(hash=False)
    n_parameters: int
    reference_input: tuple[int, int] = (3, 1)


ULTRALIGHT_VM_UNET = Preset(
    name="ultralight_vm_unet",
    network="nnunet_mamba.networks.ultralight_vm_unet:UltraLightVMUNet",
    source="Wu et al. 2024, arXiv:2403.20035; github.com/wurenkai/UltraLight-VM-UNet",
    spatial_dims=(2,),
    arguments=MappingProxyType({"channels": (8, 16, 24, 32, 48, 64), "n_parallel": 4, "shared_mamba": True}),
    n_parameters=49_457,
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in (ULTRALIGHT_VM_UNET,)})
