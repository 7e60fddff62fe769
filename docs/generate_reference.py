"""Write the reference pages that come from code: python docs/generate_reference.py."""

import html
import subprocess
import sys
import tempfile
from pathlib import Path

from nnunet_mamba.presets import PRESETS

REFERENCE = Path(__file__).parent / "reference"


def networks_page() -> str:
    """Return the page on the networks, from the presets."""
    lines = [
        "# Networks",
        "",
        "Generated from `nnunet_mamba/presets.py` by `python docs/generate_reference.py`. Build one with",
        "`create_network(name, input_channels=…, num_classes=…, **overrides)`; the published arguments and",
        "the other ones of the class are the overrides.",
        "",
        "| name | dimensions | parameters | for channels → classes | published arguments | source |",
        "|---|---|---|---|---|---|",
    ]
    for name, preset in sorted(PRESETS.items()):
        dimensions = ", ".join(f"{dims}D" for dims in preset.spatial_dims)
        channels, classes = preset.reference_input
        arguments = ", ".join(f"`{key}={value!r}`" for key, value in preset.arguments.items())
        count = f"{preset.n_parameters:,}".replace(",", " ")
        lines.append(f"| `{name}` | {dimensions} | {count} | {channels} → {classes} | {arguments} | {preset.source} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the page on the commands, from their own help."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "commands.md")
        typer = [sys.executable, "-m", "typer", "nnunet_mamba.cli.main", "utils", "docs"]
        subprocess.run([*typer, "--name", "nnunet-mamba", "--output", str(page)], check=True, stdout=subprocess.DEVNULL)
        text = html.unescape(page.read_text(encoding="utf-8"))
    note = "Generated from the commands' own help by `python docs/generate_reference.py`."
    return text.replace("# `nnunet-mamba`", f"# Commands\n\n{note}\n\n## `nnunet-mamba`", 1).strip() + "\n"


if __name__ == "__main__":
    (REFERENCE / "networks.md").write_text(networks_page(), encoding="utf-8")
    (REFERENCE / "commands.md").write_text(commands_page(), encoding="utf-8")
