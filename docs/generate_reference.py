"""Write the reference pages that come from code: python docs/generate_reference.py."""

import html
import inspect
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from pkgutil import resolve_name

from nnunet_mamba.presets import PRESETS, Preset, Size

REFERENCE = Path(__file__).parent / "reference"
BY_HAND = "<!-- what follows is written by hand -->"


def networks_page() -> str:
    """Return the page on the networks, from the presets and the docstrings of their classes."""
    lines = [
        "# Networks",
        "",
        "Generated from `nnunet_mamba/presets.py` and the classes by `python docs/generate_reference.py`;",
        "`nnunet-mamba list` prints the same numbers. Parameters, GMACs and GFLOPs are for the channels, classes and",
        "image in the second column; [what the two counts count](../explanation/counting.md).",
        "",
        "| name | image, channels → classes | parameters | GMACs | GFLOPs | published arguments |",
        "|---|---|---|---|---|---|",
    ]
    for name, preset in PRESETS.items():
        lines += [f"| `{name}` | {_size_cells(size)} |" for size in preset.sizes]
    lines += ["", "## Sources", ""]
    lines += [f"- `{name}`: {preset.title}. {preset.source}" for name, preset in PRESETS.items()]
    lines += [
        "",
        "## Overrides",
        "",
        "`create_network(name, input_channels, num_classes, **overrides)` takes what the network's class takes.",
    ]
    of_class: dict[type, list[str]] = {}
    for name, preset in PRESETS.items():
        # A twin that is a class of its own has its arguments from the class above it.
        ancestors = resolve_name(preset.network).__mro__
        documented = next(ancestor for ancestor in ancestors if "Args:\n" in (ancestor.__doc__ or ""))
        of_class.setdefault(documented, []).append(name)
    for network, names in of_class.items():
        lines += _override_lines(network, names)
    return "\n".join(lines) + "\n"


def _size_cells(size: Size) -> str:
    image = "×".join(map(str, size.image_size))
    channels, classes = size.reference_input
    arguments = ", ".join(f"`{key}={value!r}`" for key, value in size.arguments.items())
    count = f"{size.n_parameters:,}".replace(",", " ")
    numbers = f"{count} | {size.giga_macs:.5g} | {size.giga_flops:.5g}"
    return f"{image}, {channels} → {classes} | {numbers} | {arguments}"


def _override_lines(network: type, names: list[str]) -> list[str]:
    parameters = inspect.signature(network).parameters.values()
    heading = ", ".join(f"`{name}`" for name in names)
    lines = ["", f"### {heading}", "", "| override | default | meaning |", "|---|---|---|"]
    meanings = _documented_arguments(inspect.getdoc(network))
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
            lines.append(f"| `{parameter.name}` | {default} | {meanings[parameter.name]} |")
    return lines


def _documented_arguments(docstring: str) -> dict[str, str]:
    """Return the arguments of a Google docstring with their texts, each on one line."""
    section = docstring.split("Args:\n", 1)[1].split("\n\n", 1)[0]
    entries = re.split(r"\n(?=    \w)", "\n" + section)
    split = (entry.strip().split(":", 1) for entry in entries if entry.strip())
    return {name: " ".join(text.replace("``", "`").split()) for name, text in split}


def trainers_page() -> str:
    """Return the page on the trainers, from their classes, before the part that is written by hand."""
    _, marker, by_hand = (REFERENCE / "trainers.md").read_text(encoding="utf-8").partition(BY_HAND)
    assert marker, f"trainers.md has lost the line {BY_HAND!r}"
    lines = [
        "# Trainers",
        "",
        "The table is generated from the trainers by `python docs/generate_reference.py`.",
        "",
        "| trainer | network | configurations | optimiser | schedule | epochs | augmentation | from the plans |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_trainer_line(preset) for preset in PRESETS.values()]
    return "\n".join(lines) + f"\n\n{BY_HAND}{by_hand}"


def _trainer_line(preset: Preset) -> str:
    from nnunet_mamba.training.generated_trainers import load_trainer

    recipe = load_trainer(preset.trainer).recipe
    schedule = "nnU-Net's polynomial to 0" if recipe.final_lr is None else f"one cosine to {recipe.final_lr:g}"
    augmentation = "nnU-Net's" if recipe.p_rotation is None else "flips, rotations"
    plans = [*preset.from_plans, *(f"{name} (3D)" for name in preset.from_plans_in_3d)]
    cells = [
        f"`{preset.trainer}`",
        f"`{preset.name}`",
        ", ".join(f"{dims}D" for dims in preset.spatial_dims),
        f"{recipe.optimizer}, {recipe.initial_lr:g}, weight decay {recipe.weight_decay:g}",
        schedule,
        str(recipe.num_epochs),
        augmentation,
        ", ".join(f"`{name}`" for name in plans) or "batch and patch size alone",
    ]
    return f"| {' | '.join(cells)} |"


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
    (REFERENCE / "trainers.md").write_text(trainers_page(), encoding="utf-8")
    (REFERENCE / "commands.md").write_text(commands_page(), encoding="utf-8")
