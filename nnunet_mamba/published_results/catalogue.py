"""All published rows."""

from collections.abc import Mapping
from types import MappingProxyType

from nnunet_mamba.published_results import mamba_tumour, ultralbm_unet, ultralight_vm_unet, vm_unet
from nnunet_mamba.published_results.row import Paper, PublishedRow

_PAPERS = (
    ultralight_vm_unet.PAPER,
    ultralbm_unet.PAPER,
    vm_unet.PAPER,
    mamba_tumour.SEGMENTATION_PAPER,
    mamba_tumour.VISION_PAPER,
)
PAPERS: Mapping[str, Paper] = MappingProxyType({paper.name: paper for paper in _PAPERS})
# Paper by paper and table by table, in the order of print.
ROWS: tuple[PublishedRow, ...] = (*ultralight_vm_unet.ROWS, *ultralbm_unet.ROWS, *vm_unet.ROWS, *mamba_tumour.ROWS)
DATASETS = tuple(dict.fromkeys(row.setting.dataset for row in ROWS))
NETWORKS = tuple(dict.fromkeys(row.network.preset for row in ROWS if row.network is not None))
