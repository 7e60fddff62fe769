"""State-space (Mamba) segmentation networks for unmodified nnU-Net v2."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_mamba.networks.catalogue import create_network as create_network
    from nnunet_mamba.networks.catalogue import list_networks as list_networks

__version__ = "0.1.0"
__all__ = ["__version__", "create_network", "list_networks"]


# The interpreter imports this module at every start (packaging/nnunet_mamba.pth), so torch waits until it is needed.
def __getattr__(name: str) -> Any:
    if name in ("create_network", "list_networks"):
        from nnunet_mamba.networks import catalogue

        return getattr(catalogue, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
