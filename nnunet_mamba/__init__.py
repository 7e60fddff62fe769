"""State-space (Mamba) segmentation networks for unmodified nnU-Net v2."""

# The interpreter imports this module at every start (packaging/nnunet_mamba.pth): typing waits, and so does torch.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nnunet_mamba.networks.catalogue import create_network as create_network
    from nnunet_mamba.networks.catalogue import list_networks as list_networks
    from nnunet_mamba.prediction.predictor import Predictor as Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "create_network", "list_networks"]


def __getattr__(name: str) -> "Any":
    if name in ("create_network", "list_networks"):
        from nnunet_mamba.networks import catalogue

        return getattr(catalogue, name)
    if name == "Predictor":
        from nnunet_mamba.prediction.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
