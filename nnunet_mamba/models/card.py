"""The model card: what model.json says in sentences, with places for the author's words, and nothing made up."""

import re
from collections.abc import Iterator

from nnunet_mamba.models.description import FILL_HOLES, KEEP_LARGEST_PART, NOT_STATED, ModelDescription, Score
from nnunet_mamba.models.planned_network import network_title
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.system.durations import duration

NOTICE = (
    "Not a medical device, and not for diagnosis: a research model. Whoever uses it checks it on images of their own."
)
_NNUNET = "nnU-Net: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z"
_STEPS_IN_WORDS = {
    KEEP_LARGEST_PART: "only the largest part of each label stays",
    FILL_HOLES: "holes in a label are filled",
}
_WITHOUT_HEADING = "From the author"
_HEADING = re.compile(r"^## +(.+?) *#*$", re.MULTILINE)


def model_card(description: ModelDescription, words: str = "") -> str:
    """Return a model card as Markdown. A section about which nothing is known says so.

    Args:
        description: of the model.
        words: the author's, as Markdown. What stands below a heading "## Limits", or another heading of the card, goes
            into that section; sections with headings of their own follow those of the card.
    """
    sections: dict[str, list[str]] = {
        "What it is": list(_what_it_is(description)),
        "Intended use": [],
        "How to use it": list(_how_to_use(description)),
        "Training data": list(_training_data(description)),
        "Training": list(_training(description)),
        "Scores": list(_scores(description.scores)),
        "Limits": [],
        "Licences": list(_licences(description)),
        "Citation": list(_citation(description)),
    }
    known = {name.casefold(): name for name in sections}
    for heading, text in _sections(words):
        sections.setdefault(known.get(heading.casefold(), heading), []).extend(["", text])
    parts = [f"# {description.name}", f"**{NOTICE}**"]
    for heading, lines in sections.items():
        parts += [f"## {heading}", "\n".join(lines).strip() or f"{NOT_STATED.capitalize()}."]
    return "\n\n".join(parts) + "\n"


def _sections(words: str) -> Iterator[tuple[str, str]]:
    """Yield the headings of the author's text, and what stands below them."""
    first, *others = _HEADING.split(words)
    pairs = [(_WITHOUT_HEADING, first), *zip(others[::2], others[1::2], strict=True)]
    return ((heading, text.strip()) for heading, text in pairs if text.strip())


def _what_it_is(description: ModelDescription) -> Iterator[str]:
    network = description.network
    if network is None:
        yield f"- Network: that of {_plain(description.trainer)}, which only nnU-Net can build"
    else:
        preset = PRESETS[network.preset]
        size = "" if network.n_parameters is None else f", {network.n_parameters} parameters"
        title = network_title(description.trainer, preset.name)
        yield f"- Network: {title} ({preset.name}){size}; {preset.source}"
    yield f"- Trainer: {_plain(description.trainer)}, configuration {_plain(description.configuration)}"
    dataset = description.dataset_json
    channels = dataset.get("modality") or dataset.get("channel_names", {})
    yield f"- Channels: {', '.join(_plain(str(name)) for name in channels.values())}"
    labels = description.labels
    kind = "Regions, a sigmoid for each" if labels.has_regions else "Labels, one softmax"
    yield f"- {kind}: {', '.join(map(_plain, labels.foreground))}"
    yield f"- Patches: {' × '.join(map(str, description.patch_size))}"
    axes = " and ".join(map(str, description.mirror_axes))
    yield f"- Mirrored in prediction: {f'along axes {axes}' if axes else 'no'}"
    if description.postprocessing:
        steps = ", ".join(_STEPS_IN_WORDS[step] for step in description.postprocessing)
        yield f"- Done to its label maps: {steps}. nnunet-mamba does it, nnUNetv2_predict does not"
    for fold in description.folds:
        epochs = f"{fold.epochs} epochs" if fold.epochs is not None else f"epochs {NOT_STATED}"
        best = "" if fold.best_ema_dice is None else f", best moving average of pseudo Dice {fold.best_ema_dice:.4f}"
        yield f"- Fold {fold.name}: {epochs}{best}"


def _how_to_use(description: ModelDescription) -> Iterator[str]:
    name = f"or {description.name} where it comes with nnunet-mamba"
    yield f"With FILE for this model, a folder or a zip archive, {name}:"
    yield ""
    commands = {
        "nnunet-mamba models verify FILE": "is it whole, and does it fit its network?",
        "nnunet-mamba models import FILE": "then nnUNetv2_predict knows it",
        "nnunet-mamba models export FILE --checkpoint weights.pth": "for nnUNetv2_train -pretrained_weights",
    }
    if description.network is not None:
        commands = {"nnunet-mamba predict IMAGES -o MASKS --model FILE": "masks of new images", **commands}
    width = max(map(len, commands))
    for command, purpose in commands.items():
        yield f"    {command.ljust(width)}   # {purpose}"


def _training_data(description: ModelDescription) -> Iterator[str]:
    data = description.data
    yield f"- Data set: {_plain(data.dataset)}"
    yield f"- Cases: {data.n_cases if data.n_cases is not None else NOT_STATED}"
    yield f"- Splits: {_plain(data.splits or NOT_STATED)}"
    yield f"- SHA-256 of splits_final.json: {data.splits_sha256 or NOT_STATED}"
    conversion = description.conversion
    yield f"- Images: {NOT_STATED if conversion is None else conversion.kind.in_words}"
    if conversion is not None and conversion.size is not None:
        # Not at the top: it brings numpy, and listing models needs none.
        from nnunet_mamba.data.formats.picture_sizes import size_text

        yield f"- Resized to: {size_text(conversion.size)} pixels"


def _training(description: ModelDescription) -> Iterator[str]:
    record = description.training
    yield f"- Trainer: {_plain(record.trainer)}"
    yield f"- Epochs: {record.epochs if record.epochs is not None else NOT_STATED}"
    yield f"- Seed: {record.seed if record.seed is not None else NOT_STATED}"
    yield f"- Time: {NOT_STATED if record.seconds is None else duration(record.seconds)}"
    yield f"- Device: {_plain(record.device or NOT_STATED)}"
    versions = ", ".join(f"{_plain(name)} {_plain(version)}" for name, version in record.versions.items())
    yield f"- Versions: {versions or NOT_STATED}"


def _scores(scores: tuple[Score, ...]) -> Iterator[str]:
    if not scores:
        return
    yield "| data | protocol | metric | value | cases | note |"
    yield "|---|---|---|---|---|---|"
    for score in scores:
        cells = (score.data, score.protocol, score.metric, f"{score.value:.4f}", str(score.n or NOT_STATED), score.note)
        yield f"| {' | '.join(map(_plain, cells))} |"


def _licences(description: ModelDescription) -> Iterator[str]:
    licences = description.licences
    for part, text in (("Code", licences.code), ("Weights", licences.weights), ("Data", licences.data)):
        yield f"- {part}: {_plain(text)}"


def _citation(description: ModelDescription) -> Iterator[str]:
    if description.network is not None:
        yield f"- Network: {PRESETS[description.network.preset].source}"
    yield f"- {_NNUNET}"


def _plain(text: str) -> str:
    """Return a text in one line, which ends no cell of a table and begins no tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
