"""Write the reference pages that come from code: python docs/generate_reference.py."""

import html
import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from nnunet_mamba.presets import CLASSIFIERS, PRESETS, ClassifierPreset, Size
from nnunet_mamba.presets.trainer_names import preset_of_file, trainer_of
from nnunet_mamba.published_results import ROWS, Paper, PublishedRow, Setting, Table, columns_of

if TYPE_CHECKING:
    from nnunet_mamba.training.preset_trainer import PresetTrainer
    from nnunet_mamba.training.recipes import Recipe

REFERENCE = Path(__file__).parent / "reference"
BY_HAND = "<!-- what follows is written by hand -->"


def networks_page() -> str:
    """Return the page on the networks, from the presets and the docstrings of their classes."""
    lines = [
        "# Networks",
        "",
        "Generated from `nnunet_mamba/presets/` and the classes by `python docs/generate_reference.py`;",
        "`nnunet-mamba list` prints the same numbers. Parameters, GMACs and GFLOPs are for the channels, classes and",
        "image in the second column; [what the two counts count](../explanation/counting.md).",
        "",
        "| name | image, channels → classes | parameters | GMACs | GFLOPs | published arguments |",
        "|---|---|---|---|---|---|",
    ]
    for name, preset in PRESETS.items():
        lines += [f"| `{name}` | {_size_cells(size)} |" for size in preset.sizes]
    lines += [
        "",
        '`list_networks(task="classification")` and `nnunet-mamba list --task classification` name those that',
        "[classify images](../how-to/classify.md):",
        "",
        "| name | image, channels → classes | parameters | GFLOPs | published arguments |",
        "|---|---|---|---|---|",
        *(f"| `{name}` | {_classifier_cells(preset)} |" for name, preset in CLASSIFIERS.items()),
    ]
    lines += ["", "## Sources", ""]
    lines += [f"- `{name}`: {preset.title}. {preset.source}" for name, preset in PRESETS.items()]
    lines += [f"- `{name}`: {preset.title}. {preset.source}" for name, preset in CLASSIFIERS.items()]
    lines += [
        "",
        "## Overrides",
        "",
        "`create_network(name, input_channels, num_classes, **overrides)` takes what the network's class takes.",
    ]
    of_class: dict[type, list[str]] = {}
    presets = {**PRESETS, **CLASSIFIERS}
    for name, preset in presets.items():
        # A twin that is a class of its own has its arguments from the class above it.
        ancestors = resolve_name(preset.network).__mro__
        documented = next(ancestor for ancestor in ancestors if "Args:\n" in (ancestor.__doc__ or ""))
        of_class.setdefault(documented, []).append(name)
    for network, names in of_class.items():
        lines += _override_lines(network, names)
    return "\n".join(lines) + "\n"


def _size_cells(size: Size) -> str:
    return _cells(size, f"{size.giga_macs:.5g} | {size.giga_flops:.5g}")


def _classifier_cells(preset: ClassifierPreset) -> str:
    return _cells(preset, f"{preset.giga_flops:.5g}")


def _cells(size: Size | ClassifierPreset, costs: str) -> str:
    image = "×".join(map(str, size.image_size))
    channels, classes = size.reference_input
    arguments = ", ".join(f"`{key}={value!r}`" for key, value in size.arguments.items())
    count = f"{size.n_parameters:,}".replace(",", " ")
    return f"{image}, {channels} → {classes} | {count} | {costs} | {arguments}"


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
    from nnunet_mamba.bundled import trainer_names
    from nnunet_mamba.training import recipes
    from nnunet_mamba.training.generated_trainers import load_trainer

    _, marker, by_hand = (REFERENCE / "trainers.md").read_text(encoding="utf-8").partition(BY_HAND)
    assert marker, f"trainers.md has lost the line {BY_HAND!r}"
    order = list(PRESETS)
    trainers = sorted(map(load_trainer, trainer_names()), key=lambda trainer: order.index(trainer.preset.name))
    lines = [
        "# Trainers",
        "",
        "The tables are generated from the trainers and `nnunet_mamba/training/recipes.py` by",
        "`python docs/generate_reference.py`. The optimiser stands with its weight decay, the learning rate with its",
        "schedule; [the recipes and the suffixes](../explanation/recipes.md).",
        "",
        "| trainer | network | configurations | recipe | optimiser | learning rate | epochs | largest batch "
        "| other recipes | deep supervision | from the plans |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *map(_trainer_line, trainers),
        "",
        "## Recipes",
        "",
        "| recipe | optimiser | learning rate | epochs | largest batch | augmentation | averaged weights | source |",
        "|---|---|---|---|---|---|---|---|",
        *(_recipe_line(name, value) for name, value in vars(recipes).items() if isinstance(value, recipes.Recipe)),
        _robust_line(recipes.robust(recipes.NNUNET)),
        "",
        "## Variants",
        "",
        "Rows of the papers' ablations, directly behind a trainer's name: the arguments of the network that they",
        "change, or, of the trainer that distils, the weights of the terms of its loss.",
        "",
        "| trainer | changes | rows |",
        "|---|---|---|",
        *(line for trainer in trainers for line in _variant_lines(trainer.__name__)),
    ]
    return "\n".join(lines) + f"\n\n{BY_HAND}{by_hand}"


def _variant_lines(trainer: str) -> Iterator[str]:
    """Yield a line for each variant of a trainer."""
    preset = preset_of_file(trainer)
    assert preset is not None
    rows: dict[str, list[str]] = {}
    for row in ROWS:
        if (network := row.network or row.stand_in) is not None:
            of_row = rows.setdefault(trainer_of(network.preset, network.overrides, network.trainer), [])
            of_row.append(f"{row.table.paper.title}, {row.table.number}: {row.method}")
    for name, changes in {**preset.variants, **preset.training_variants.get(trainer, {})}.items():
        told = ", ".join(f"`{key}={value!r}`" for key, value in changes.items())
        of_variant = dict.fromkeys(rows[f"{trainer}_{name}"])
        yield f"| `{trainer}_{name}` | {told} | {'; '.join(of_variant)} |"


def _trainer_line(trainer: type["PresetTrainer"]) -> str:
    from nnunet_mamba.training.generated_trainers import has_deep_variant, named_recipes

    preset, recipe = trainer.preset, trainer.recipe
    named = {name: _same_source(other, recipe) for name, other in named_recipes(trainer).items()}
    plans = [*preset.from_plans, *(f"{name} (3D)" for name in preset.from_plans_in_3d)]
    cells = [
        f"`{trainer.__name__}`",
        f"`{preset.name}`",
        ", ".join(f"{dims}D" for dims in preset.spatial_dims),
        " and ".join(f"`{name}`" for name, other in named.items() if other == recipe) or "ours",
        *_numbers(recipe),
        ", ".join(f"`_{name}`" for name, other in named.items() if other != recipe),
        "yes" if preset.deep_supervision else "by `_deep`" if has_deep_variant(trainer) else "no",
        ", ".join(f"`{name}`" for name in plans) or "batch and patch size alone",
    ]
    return f"| {' | '.join(cells)} |"


def _same_source(recipe: "Recipe", other: "Recipe") -> "Recipe":
    return replace(recipe, source=other.source)


def _recipe_line(name: str, recipe: "Recipe") -> str:
    return f"| {' | '.join([f'`{name}`', *_numbers(recipe), *_generalisation(recipe), recipe.source])} |"


def _robust_line(recipe: "Recipe") -> str:
    """Return the line of the recipe that takes all but two columns from the trainer's own."""
    own = ["the trainer's"] * len(_numbers(recipe))
    return f"| {' | '.join(['`_robust`', *own, *_generalisation(recipe), 'ours'])} |"


def _generalisation(recipe: "Recipe") -> list[str]:
    average = "no" if recipe.ema_decay is None else f"decay {recipe.ema_decay} a step"
    return [recipe.augmentation.name, average]


def _numbers(recipe: "Recipe") -> list[str]:
    return [
        f"{recipe.optimizer}, {recipe.weight_decay:g}",
        f"{recipe.initial_lr:g}, {_schedule(recipe)}",
        str(recipe.num_epochs),
        str(recipe.largest_batch_size or "the plan's"),
    ]


def _schedule(recipe: "Recipe") -> str:
    if recipe.final_lr is None:
        return "polynomial to 0"
    if recipe.half_waves == 0:
        return "constant"
    if recipe.half_waves == 1:
        return f"one cosine to {recipe.final_lr:g}"
    period = recipe.num_epochs // recipe.half_waves
    return f"cosine to {recipe.final_lr:g} in {period} epochs and up again in the next {period}"


def commands_page() -> str:
    """Return the page on the commands, from their own help."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "commands.md")
        typer = [sys.executable, "-m", "typer", "nnunet_mamba.cli.main", "utils", "docs"]
        subprocess.run([*typer, "--name", "nnunet-mamba", "--output", str(page)], check=True, stdout=subprocess.DEVNULL)
        text = html.unescape(page.read_text(encoding="utf-8"))
    note = "Generated from the commands' own help by `python docs/generate_reference.py`."
    return text.replace("# `nnunet-mamba`", f"# Commands\n\n{note}\n\n## `nnunet-mamba`", 1).strip() + "\n"


def published_results_page() -> str:
    """Return the page on the papers' result tables, a table for each of theirs."""
    lines = [
        "# Published results",
        "",
        "Generated from `nnunet_mamba/published_results/` by `python docs/generate_reference.py`;",
        "`nnunet-mamba papers` prints the same rows. **All figures on this page were published by others**, who",
        "measured them on their own splits and under their own [protocols](../explanation/scoring.md). Figures of two",
        "tables can be compared only where data set, split, protocol and image size are the same.",
        "",
        "Numbers have the decimals of print. GFLOPs and FLOPs are",
        "[multiply-adds as the papers count them](../explanation/counting.md). The last column has the network as",
        "`create_network` makes it, where we have it, and ablations have [trainers](trainers.md#variants), too;",
        'methods stand without reference numbers and without "(Ours)".',
        "A *stand-in* is another network, the nearest that we have; remarks say how it differs.",
        "Remarks say where a paper contradicts itself, another paper or its code. Tests find them by arithmetic:",
        "DSC = 2 IoU / (1 + IoU), DSC from sensitivity, specificity and accuracy, means of organs, and our counts of",
        "parameters.",
    ]
    for paper, of_paper in groupby(ROWS, key=lambda row: row.table.paper):
        lines += _paper_lines(paper, list(of_paper))
    return "\n".join(lines) + "\n"


def _paper_lines(paper: Paper, rows: list[PublishedRow]) -> list[str]:
    lines = ["", f"## {paper.title}", "", f"{paper.citation}. `nnunet-mamba papers --paper {paper.name}`", ""]
    settings: dict[str, Setting] = {}
    for row in rows:
        # The first of a data set: a table of image sizes has the others' setting without its size.
        settings.setdefault(row.setting.dataset, row.setting)
    for setting in settings.values():
        spread = [f"± is over {setting.spread}."] if setting.spread else []
        lines.append(f"- {' '.join([f'{setting.shown}.', *spread, *setting.notes])}")
    lines += [f"- {remark}" for remark in paper.remarks]
    for table, of_table in groupby(rows, key=lambda row: row.table):
        lines += _table_lines(table, list(of_table))
    return lines


def _table_lines(table: Table, rows: list[PublishedRow]) -> list[str]:
    by_dataset: dict[str, list[PublishedRow]] = {row.setting.dataset: [] for row in rows}
    for row in rows:
        by_dataset[row.setting.dataset].append(row)
    columns = {dataset: columns_of(of_dataset) for dataset, of_dataset in by_dataset.items()}
    # Columns of two data sets differ in what they are about, not in their headings.
    (headings,) = {tuple(column.heading for column in of_dataset) for of_dataset in columns.values()}
    heads = ["data set", "method", *headings, "our network"]
    lines = ["", f"### {table.number}: {table.topic}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for dataset, of_dataset in by_dataset.items():
        for row in of_dataset:
            shown = {value.column: value.shown for value in row.values}
            numbers = [shown.get(column, "–") for column in columns[dataset]]
            network = "" if row.network is None else f"`{row.network.shown}`"
            network += "" if row.stand_in is None else f"stand-in: `{row.stand_in.shown}`"
            lines.append(f"| {' | '.join([dataset, row.method, *numbers, network])} |")
    told = dict.fromkeys(f"- {row.method}: {remark}" for row in rows for remark in row.remarks)
    told |= dict.fromkeys(f"- {remark}" for remark in table.remarks)
    return [*lines, *(["", *told] if told else [])]


if __name__ == "__main__":
    (REFERENCE / "networks.md").write_text(networks_page(), encoding="utf-8")
    (REFERENCE / "trainers.md").write_text(trainers_page(), encoding="utf-8")
    (REFERENCE / "commands.md").write_text(commands_page(), encoding="utf-8")
    (REFERENCE / "published-results.md").write_text(published_results_page(), encoding="utf-8")
