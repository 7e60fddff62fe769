"""``nnunet-mamba doctor``: can a training run here, and compile what it would compile first."""

import json
import sys
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nnunet_mamba.doctor.findings import Finding
    from nnunet_mamba.doctor.verdict import Verdict

_SIGNS = {"ok": "[green]✓[/green]", "hint": "[yellow]![/yellow]", "problem": "[red]✗[/red]"}
_NAME_WIDTH = 19


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check that this installation can train and predict, and compile the scan's kernels once for all.

    A hint (!) tells what could work better. A problem (✗) keeps a training from running; then the exit code is 1. Where
    onnxruntime is installed, but neither torch nor nnU-Net, their lack is one problem: ONNX files predict there.
    """
    from nnunet_mamba.cli.output.console import progress_console, results_console, shown_status
    from nnunet_mamba.doctor.examination import examine
    from nnunet_mamba.doctor.verdict import Verdict

    console = results_console()
    findings: list[tuple[str, Finding]] = []
    # A spinner on another console than the lines would stay between them.
    spinning = console if console.is_terminal and not as_json else progress_console()
    # Whatever a library prints meanwhile must not get between the lines of the JSON.
    printing = redirect_stdout(sys.stderr) if as_json else nullcontext()
    with printing, shown_status(spinning) as show:
        for area, finding in examine(lambda area: show(f"looking at: {area}")):
            if not as_json:
                _print(console, area, finding, after=findings[-1][0] if findings else None)
            findings.append((area, finding))

    verdict = Verdict(findings)
    if as_json:
        print(json.dumps(verdict.as_dict(), indent=2))
    else:
        console.print(f"\n{_summary(verdict)}")
    if not verdict.can_train:
        raise typer.Exit(1)


def _print(console: "Console", area: str, finding: "Finding", *, after: str | None) -> None:
    """Print a finding, below the name of its area if that is not the area of the finding before."""
    from rich.markup import escape
    from rich.table import Table

    if area != after:
        console.print(f"{'' if after is None else chr(10)}[bold]{area}[/bold]")
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=_NAME_WIDTH)
    line.add_column(overflow="fold")
    line.add_row(_SIGNS[finding.level], finding.name, escape(finding.text))
    if finding.remedy:
        line.add_row("", "", f"[bold]→ {escape(finding.remedy)}[/bold]")
    console.print(line)


def _summary(verdict: "Verdict") -> str:
    n_problems, n_hints = verdict.count("problem"), verdict.count("hint")
    hints = f"{n_hints} hint{'s' if n_hints != 1 else ''}"
    if n_problems:
        return f"[red]{n_problems} problem{'s' if n_problems != 1 else ''}[/red], {hints}: see the lines with ✗."
    return f"[green]Ready to train[/green], {hints}."
