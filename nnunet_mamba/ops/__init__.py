"""The operators that the networks are built on."""

from nnunet_mamba.ops.scan.op import selective_scan

__all__ = ["selective_scan"]
