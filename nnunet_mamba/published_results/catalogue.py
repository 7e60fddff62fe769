"""All published rows, and how to ask for some of them."""

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
# Of rows with a network or a stand-in.
NETWORKS = tuple(dict.fromkeys(found.preset for row in ROWS if (found := row.network or row.stand_in) is not None))


def published_rows(
    *, dataset: str | None = None, paper: str | None = None, network: str | None = None
) -> tuple[PublishedRow, ...]:
    """Return published rows in the order of print.

    Args:
        dataset: of ``DATASETS``; None takes all.
        paper: of ``PAPERS``; None takes all.
        network: a preset of ``NETWORKS``, with its ablations and the rows that it stands in for, whoever measured them;
            None takes all methods.

    Raises:
        ValueError: a name is unknown.
    """
    for setting, name, known in (
        ("`dataset`", dataset, DATASETS),
        ("`paper`", paper, tuple(PAPERS)),
        ("`network`", network, NETWORKS),
    ):
        if name is not None and name not in known:
            raise ValueError(f"{setting} {name!r} has no published rows, expected one of {', '.join(known)}")
    return tuple(
        row
        for row in ROWS
        if dataset in (None, row.setting.dataset)
        and paper in (None, row.table.paper.name)
        and (network is None or ((found := row.network or row.stand_in) is not None and found.preset == network))
    )
