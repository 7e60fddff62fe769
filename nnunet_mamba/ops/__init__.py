"""The operators that the networks are built on."""

from nnunet_mamba.ops.mamba_mixer.op import mamba_mixer
from nnunet_mamba.ops.scan.op import selective_scan

__all__ = ["mamba_mixer", "selective_scan"]
