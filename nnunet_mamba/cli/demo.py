"""``nnunet-mamba demo``: from drawn photographs to a report, on any machine, in minutes."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from nnunet_mamba.demo.steps import DemoStep


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for everything; new, empty or an earlier demo's.")] = Path(
        "demo"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over: delete what an earlier demo made there.")] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the training.")] = 10,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of each epoch.")] = 50,
    images: Annotated[int, typer.Option(min=5, help="Photographs to train with.")] = 80,
    unseen: Annotated[int, typer.Option(min=1, help="Photographs to predict and score.")] = 20,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Photographs are resized to this side, in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other photographs.")] = 2024,
) -> None:
    """Draw skin lesions, train UltraLight VM-UNet on them with stock nnU-Net, and write a report.

    Needs no data and no GPU, and about four minutes on two cores. Run it again after an interruption: finished steps
    are not repeated.
    """
    from nnunet_mamba.cli.output.console import progress_console, shown_status
    from nnunet_mamba.demo.pipeline import Settings, run_demo
    from nnunet_mamba.demo.report_page import write_demo_report
    from nnunet_mamba.demo.steps import DemoFailedError
    from nnunet_mamba.system.durations import duration

    console = progress_console()
    settings = Settings(n_training=images, n_unseen=unseen, size=size, epochs=epochs, iterations=iterations, seed=seed)
    with errors_as_text(is_conversion=False, continues=True, workers=""):
        console.print(f"nnunet-mamba demo in {folder.resolve()}", markup=False)
        try:
            with shown_status(console) as show:
                finished = run_demo(folder, settings, _Display(console, show, epochs), fresh=fresh)
                show("writing the report")
                outcome = write_demo_report(folder, settings, finished)
        except DemoFailedError as error:
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(1) from error
    scores = outcome.scores
    print(f"Dice {scores.mean_case_dice:.3f} (mean of {scores.n_cases} unseen photographs)")
    print(f"DSC  {scores.pooled.dice:.3f} (all their pixels pooled, as the skin papers count)")
    shipped = outcome.shipped_model
    print(f"Dice {shipped.mean_case_dice:.3f} of the model that comes along, which has seen none of them")
    print(f"Synthetic photographs; {duration(outcome.seconds)} in all. The report:")
    print(outcome.report)


class _Display:
    """Shows each step: what it is at, then a line with its time."""

    def __init__(self, console: "Console", show: "Callable[[str], None]", n_epochs: int) -> None:
        self._console = console
        self._show = show
        self._n_epochs = n_epochs

    def started(self, step: "DemoStep") -> None:
        self._show(step.title)

    def line(self, step: "DemoStep", text: str) -> None:
        if found := re.search(r"\bEpoch (\d+)\s*$", text):
            self._show(f"{step.title}: epoch {int(found[1]) + 1} of {self._n_epochs}")
        elif found := re.search(r"\d+%\|.*?\| *(\d+/\d+)", text):
            self._show(f"{step.title}: {found[1]}")

    def finished(self, step: "DemoStep", seconds: float, *, was_done: bool) -> None:
        from nnunet_mamba.system.durations import duration

        time = "done before" if was_done else duration(seconds)
        self._console.print(f"  [green]✓[/green] {step.title:<60} [dim]{time}[/dim]")
