"""The result tables of five papers, as data: every row as it is printed, with source, protocol and contradictions."""

from nnunet_mamba.published_results.catalogue import DATASETS, NETWORKS, PAPERS, ROWS, published_rows
from nnunet_mamba.published_results.row import (
    Column,
    OurNetwork,
    Paper,
    PrintedValue,
    PublishedRow,
    Setting,
    Table,
    columns_of,
)

__all__ = [
    "DATASETS",
    "NETWORKS",
    "PAPERS",
    "ROWS",
    "Column",
    "OurNetwork",
    "Paper",
    "PrintedValue",
    "PublishedRow",
    "Setting",
    "Table",
    "columns_of",
    "published_rows",
]
