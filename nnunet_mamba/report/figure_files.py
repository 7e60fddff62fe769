"""Figures of matplotlib and their files: PNG for slides and SVG for papers, the same bytes for the same numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.system.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, GRID = "#333333", "#666666", "#dddddd"
_DOTS_PER_INCH = 300
# Neither times nor versions: whoever keeps figures in git sees which of them have changed.
_METADATA: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure.

    Args:
        width: inches.
        height: inches.
    """
    # Not pyplot, which keeps figures and chooses a window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: "Figure", stem: Path) -> list[Path]:
    """Write a figure as PNG and as SVG, each whole or not at all.

    Args:
        figure: of ``new_figure``.
        stem: of the files, without an ending.

    Returns:
        The files: stem.png and stem.svg.

    Raises:
        OSError: they cannot be written.
    """
    from matplotlib import rc_context

    files = []
    for ending, metadata in _METADATA.items():
        file = stem.with_name(stem.name + ending)
        # Without a salt, the names of clips in an SVG are drawn by chance.
        with replacing(file) as part, rc_context({"svg.hashsalt": "nnunet-mamba"}):
            figure.savefig(part, format=ending[1:], dpi=_DOTS_PER_INCH, metadata=metadata)
        files.append(file)
    return files
