"""What published weights look like when they do not fit: whose they are, as far as their names tell."""

from collections.abc import Collection

import torch

from nnunet_mamba.networks.catalogue import create_network, list_networks
from nnunet_mamba.networks.upstream_names import published_name

# The share of names that weights and a network must have in common for the weights to be the network's.
_ALIKE = 0.9


def recognised_origin(names: Collection[str], *, network: str) -> str | None:
    """Return a sentence about whose weights these are and what to do, or None if their names tell nothing.

    Args:
        names: of the weights, without wrappers.
        network: what they do not fit, "VMUNet" for example.
    """
    if not names:
        return "There are no weights in it."
    if {"network_weights", "trainer_name"} <= set(names):
        return "This is a whole checkpoint of nnU-Net; pass its entry 'network_weights'."
    if any(".op." in name and name.startswith("layers.") for name in names) or any(
        name.startswith("classifier.") for name in names
    ):
        return (
            "These look like the weights of VMamba's second generation (vmambav2: classifier.head, "
            "layers.0.blocks.0.op), whose blocks are others; VM-UNet begins with those of the first (version 0: head, "
            "layers.0.blocks.0.self_attention), such as vmamba_small_e238_ema.pth."
        )
    if network != "VMUNet" and _is_vmamba(names):
        return "These look like the weights of VM-UNet or VMamba; create the network 'vm_unet' for them."
    alike = [name for name in list_networks() if _likeness(name, names) >= _ALIKE]
    if alike:
        return (
            f"The names are those of {' or '.join(map(repr, alike))}; create this network for them, with the sizes of "
            f"the weights."
        )
    return None


def _is_vmamba(names: Collection[str]) -> bool:
    return any("self_attention.x_proj_weight" in name for name in names)


def _likeness(network: str, names: Collection[str]) -> float:
    with torch.device("meta"):
        net = create_network(network, 3, 1)
    ours = {published_name(net, key) for key in net.state_dict()}
    return len(ours & set(names)) / max(1, len(ours | set(names)))
