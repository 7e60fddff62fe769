"""Write a report: the page, and beside it its tables and figures as files of their own."""

from pathlib import Path

from nnunet_mamba.report.contents.dataset_report import DatasetReport
from nnunet_mamba.report.dataset_page import page_content, render_page
from nnunet_mamba.report.exported_figures import save_curves, save_distributions, save_intervals
from nnunet_mamba.report.exported_scatter import save_scatter
from nnunet_mamba.report.figure_data import (
    DIFFERENCE_TITLE,
    distributions,
    intervals,
    scatter_points,
    scatter_title,
    training_curves,
)
from nnunet_mamba.report.tables.as_csv import as_csv
from nnunet_mamba.report.tables.as_latex import as_latex
from nnunet_mamba.report.tables.as_markdown import as_markdown
from nnunet_mamba.system.atomic import replacing

MARKDOWN = "report.md"


def files_folder(page: Path) -> Path:
    """Return the folder for the tables and figures of a page: "report_files" of "report.html".

    Args:
        page: the HTML file.
    """
    return page.with_name(f"{page.stem}_files")


def write_dataset_report(report: DatasetReport, page: Path, *, page_only: bool = False) -> list[Path]:
    """Write the page, and its tables and figures into a folder beside it.

    Args:
        report: what it shows.
        page: the HTML file; an older one is replaced.
        page_only: write nothing beside it.

    Returns:
        What was written, the page first.

    Raises:
        OSError: something cannot be written.
    """
    content = page_content(report)
    written = [_write(page, render_page(content))]
    if page_only:
        return written
    folder = files_folder(page)
    folder.mkdir(parents=True, exist_ok=True)
    facts = "\n".join(f"- {name}: {value}" for name, value in report.facts)
    texts = "\n".join(as_markdown(table) for table in content.tables)
    written.append(_write(folder / MARKDOWN, f"# {report.dataset}\n\n{texts}\n{facts}\n"))
    for table in content.tables:
        written.append(_write(folder / f"{table.key}.csv", as_csv(table)))
        written.append(_write(folder / f"{table.key}.tex", as_latex(table)))
    points = scatter_points(report, content.figures)
    written += save_scatter(points, folder / "dice_over_parameters", y_title=scatter_title(report))
    written += save_distributions(distributions(report), folder / "dice_of_cases", x_title="Dice of a case")
    written += save_intervals(intervals(report), folder / "differences", x_title=DIFFERENCE_TITLE)
    written += save_curves(training_curves(report.models), folder / "trainings")
    return written


def _write(file: Path, text: str) -> Path:
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
    return file
