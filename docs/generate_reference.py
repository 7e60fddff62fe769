"""Write the reference pages that come from code: python docs/generate_reference.py."""

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


if __name__ == "__main__":
    (REFERENCE / "networks.md").write_text(networks_page(), encoding="utf-8")
