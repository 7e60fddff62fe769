"""All experiments, one file for each table of the papers."""

from collections.abc import Mapping
from types import MappingProxyType

from nnunet_mamba.reproduction.experiment import Experiment
from nnunet_mamba.reproduction.experiments import (
    mamba_tumour_segmentation_table_i,
    mamba_vs_sota_table_i,
    ultralbm_unet_table_1,
    ultralbm_unet_table_2,
    ultralbm_unet_table_3,
    ultralbm_unet_table_4,
    ultralbm_unet_table_5,
    ultralbm_unet_table_6,
    ultralbm_unet_table_7,
    ultralight_vm_unet_table_1,
    ultralight_vm_unet_table_2,
    ultralight_vm_unet_table_3,
    ultralight_vm_unet_table_4,
    ultralight_vm_unet_table_5,
    vm_unet_table_i,
    vm_unet_table_ii,
    vm_unet_table_iii,
    vm_unet_table_iv,
    vm_unet_table_v,
    vm_unet_table_vi,
)

# Paper by paper and table by table, in the order of print.
_TABLES = (
    ultralight_vm_unet_table_1,
    ultralight_vm_unet_table_2,
    ultralight_vm_unet_table_3,
    ultralight_vm_unet_table_4,
    ultralight_vm_unet_table_5,
    ultralbm_unet_table_1,
    ultralbm_unet_table_2,
    ultralbm_unet_table_3,
    ultralbm_unet_table_4,
    ultralbm_unet_table_5,
    ultralbm_unet_table_6,
    ultralbm_unet_table_7,
    vm_unet_table_i,
    vm_unet_table_ii,
    vm_unet_table_iii,
    vm_unet_table_iv,
    vm_unet_table_v,
    vm_unet_table_vi,
    mamba_tumour_segmentation_table_i,
    mamba_vs_sota_table_i,
)
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({table.EXPERIMENT.name: table.EXPERIMENT for table in _TABLES})
