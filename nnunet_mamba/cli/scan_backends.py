"""``nnunet-mamba scan-backends``: what each implementation of the scan does on this machine."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from nnunet_mamba.ops.scan.survey import Choice, Measurement
    from nnunet_mamba.ops.scan.survey_report import SurveyReport


def scan_backends(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Of the random scans, to repeat them.", show_default="drawn"),
    ] = None,
) -> None:
    """Show which implementations of the selective scan run here, how exact and how fast they are.

    Each is compared with the reference in float64 and timed on every device. Takes about ten seconds; the first time
    longer, because kernels are compiled.
    """
    try:
        import torch  # noqa: F401  tried, so that a broken one is a line of text
    except (ImportError, OSError) as error:
        typer.secho(f"Error: torch cannot be imported: {error}\nAsk: nnunet-mamba doctor", fg="red", err=True)
        raise typer.Exit(1) from error

    from nnunet_mamba.cli.output.console import progress_console, results_console, shown_status
    from nnunet_mamba.ops.scan.survey_report import survey_backends

    with shown_status(progress_console()) as show:
        report = survey_backends(seed, on_start=lambda text: show(f"measuring {text}"))
    if as_json:
        print(json.dumps(report.as_dict(), indent=2, allow_nan=False))
    else:
        _print(results_console(), report)
    if report.problem is not None:
        typer.secho(f"Error: {report.problem}", fg="red", err=True)
        raise typer.Exit(1)


def _print(console: "Console", report: "SurveyReport") -> None:
    from rich.table import Table

    from nnunet_mamba.ops.scan.backends import VARIABLE
    from nnunet_mamba.ops.scan.survey import ERROR_SHAPE, REPEATS, REPEATS_OF_REFERENCE, SPEED_SHAPE

    packages = ", ".join(f"{package} {version}" for package, version in report.packages.items())
    console.print(f"{report.processor}, {report.n_threads} threads; {packages}")
    console.print(_measurement_table(report.measured))
    for refusal in report.refusals:
        console.print(refusal, markup=False)
    notes = Table.grid(padding=(0, 1))
    notes.add_row("errors", f"relative to the largest value of the float64 reference; (b, d, l, n) = {ERROR_SHAPE}")
    notes.add_row("", f"random operands with gate, bias and softplus, again with --seed {report.seed}")
    notes.add_row("speed", f"ns per (b, d, l) and gain over the reference; (b, d, l, n) = {SPEED_SHAPE}")
    notes.add_row("", f"float32, the same operands, median of {REPEATS} runs ({REPEATS_OF_REFERENCE} of the reference)")
    console.print(notes, style="dim")
    console.print(_choice_table(report.chosen))
    if report.problem is not None:
        return
    if report.forced:
        console.print(f"{VARIABLE}={report.forced} forces this backend; a scan that it cannot run is an error.")
    else:
        console.print(f"{VARIABLE} is not set: a scan takes the first backend of the list that can run it.")


def _measurement_table(measured: "Sequence[Measurement]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    references = {row.device: row for row in measured if row.backend == "reference"}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("backend", "on", "available"):
        table.add_column(heading, no_wrap=True)
    for heading in ("error\nof y", "of worst\ngradient", "forward\nns", "forward +\nbackward ns"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in measured:
        if row.refusal is not None:
            table.add_row(row.backend, row.device, "no", style="dim")
            continue
        reference = references[row.device]
        table.add_row(
            row.backend,
            row.device,
            "[green]yes[/green]",
            f"{row.error:.1e}",
            f"{row.gradient_error:.1e}",
            _time(row.forward, reference.forward),
            _time(row.forward_backward, reference.forward_backward),
        )
    return table


def _time(nanoseconds: float | None, reference: float | None) -> str:
    if nanoseconds is None:
        return ""
    number = f"{nanoseconds:.{0 if nanoseconds >= 100 else 1}f}"
    return f"{number} ({reference / nanoseconds:.0f} x)" if reference else number


def _choice_table(chosen: "Sequence[Choice]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("a scan on")
    for dtype in dict.fromkeys(choice.dtype for choice in chosen):
        table.add_column(dtype)
    for device in dict.fromkeys(choice.device for choice in chosen):
        table.add_row(device, *(choice.backend or "[red]none[/red]" for choice in chosen if choice.device == device))
    return table
