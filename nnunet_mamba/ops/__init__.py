"""The operators that the networks are built on."""

from nnunet_mamba.ops.directions.op import cross_scan
from nnunet_mamba.ops.few_maps.op import few_map_convolution
from nnunet_mamba.ops.mixer.op import mamba_mixer
from nnunet_mamba.ops.pooled_norm.op import pooled_group_norm
from nnunet_mamba.ops.scan.op import selective_scan

__all__ = ["cross_scan", "few_map_convolution", "mamba_mixer", "pooled_group_norm", "selective_scan"]
