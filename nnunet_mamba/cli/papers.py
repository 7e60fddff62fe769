"""``nnunet-mamba papers``: the result tables of the papers, with source and protocol."""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnunet_mamba.cli.output.error_texts import errors_of_usage

if TYPE_CHECKING:
    from nnunet_mamba.published_results import OurNetwork, PublishedRow

_MARK = (
    "Published figures, measured by others, each on its own split and under its own protocol.\n"
    "Compare a figure of yours only with one of the same protocol, split and image size."
)


def papers(
    dataset: Annotated[
        str | None, typer.Option(help="Only rows of this data set: isic17, isic18, ph2, synapse or lgg.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Only rows of this network, as nnunet-mamba list names it, its ablations, and those it stands in for."
        ),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            help="Only rows of this paper: ultralight_vm_unet, ultralbm_unet, vm_unet, mamba_tumour_segmentation or "
            "mamba_vs_sota."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """List what the papers print of networks and data sets: each number with its source, protocol and oddities.

    The numbers are those of the papers, with all their decimals. A stand-in is another network than the paper's, the
    nearest that there is here. Remarks tell where a paper contradicts itself or
    another one. GFLOPs are the papers' multiply-adds, see nnunet-mamba list.
    """
    with errors_of_usage():
        from nnunet_mamba.published_results import published_rows

        rows = published_rows(dataset=dataset, network=network, paper=paper)
    if as_json:
        print(json.dumps([_as_dict(row) for row in rows], indent=2, ensure_ascii=False))
        return
    if not rows:
        print("The papers have rows of each of these, and none of all together.", file=sys.stderr)
        return
    typer.secho(_MARK, bold=True)
    for table, of_table in groupby(rows, key=lambda row: row.table):
        typer.secho(f"\n{table.paper.title}, {table.number}: {table.topic}", bold=True)
        typer.secho(table.paper.citation, dim=True)
        for remark in (*table.paper.remarks, *table.remarks):
            typer.echo(f"! {remark}")
        for _, block in groupby(of_table, key=lambda row: row.setting):
            for line in _block(list(block)):
                typer.echo(line)


def _block(rows: "Sequence[PublishedRow]") -> Iterator[str]:
    """Yield the lines of a table's rows of one data set, with what a reader must know above and remarks below."""
    from nnunet_mamba.published_results import columns_of

    setting = rows[0].setting
    yield f"\n{setting.shown}"
    if setting.spread and any(value.spread for row in rows for value in row.values):
        yield f"± over {setting.spread}"
    yield from setting.notes
    columns = columns_of(rows)
    lines = [("method", *(column.heading for column in columns), "our network")]
    for row in rows:
        shown = {value.column: value.shown for value in row.values}
        lines.append((row.method, *(shown.get(column, "-") for column in columns), row.shown_network))
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for method, *numbers, network in lines:
        cells = (f"{text:>{width}}" for text, width in zip(numbers, widths[1:-1], strict=True))
        yield "  ".join([f"{method:<{widths[0]}}", *cells, network]).rstrip()
    for row in rows:
        for remark in row.remarks:
            yield f"! {row.method}: {remark}"


def _trainer(network: "OurNetwork") -> str:
    """Return the name of our trainer that trains the network as the row was trained, without budget and seed."""
    from nnunet_mamba.presets.trainer_names import trainer_of

    return trainer_of(network.preset, network.overrides, network.trainer)


def _as_dict(row: "PublishedRow") -> dict[str, Any]:
    table, paper, setting = row.table, row.table.paper, row.setting
    ours = row.network or row.stand_in
    return {
        "paper": paper.name,
        "title": paper.title,
        "authors": paper.authors,
        "year": paper.year,
        "source": paper.source,
        "table": table.number,
        "topic": table.topic,
        "is_ablation": table.is_ablation,
        "dataset": setting.dataset,
        "split": setting.split,
        "split_name": setting.split_name or None,
        "n_test": setting.n_test,
        "image_size": setting.image_size or None,
        "protocol": setting.protocol,
        "spread_over": setting.spread or None,
        "method": row.method,
        "network": None if row.network is None else row.network.preset,
        "stand_in": None if row.stand_in is None else row.stand_in.preset,
        "overrides": {} if ours is None else dict(ours.overrides),
        "trainer": None if ours is None else _trainer(ours),
        "values": [
            {
                "metric": value.column.metric,
                "label": value.column.label or None,
                "heading": value.column.heading,
                "unit": value.column.unit or None,
                "printed": value.text,
                "spread": value.spread or None,
                "value": float(f"{value.value:.12g}"),
            }
            for value in row.values
        ],
        "remarks": [*row.remarks, *table.remarks, *paper.remarks],
        "notes": list(setting.notes),
    }
