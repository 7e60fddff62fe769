"""What the page must know of its model to compute, and what it tells of it: JSON, from the description and the card."""

import re
from collections.abc import Sequence
from typing import Any

from nnunet_mamba import __version__
from nnunet_mamba.models.description import POSTPROCESSING, ModelDescription, Score
from nnunet_mamba.models.planned_network import network_title

_HEADING = re.compile(r"^## +(.+?)\s*$", re.MULTILINE)
_COLOURS = 3
_MIRRORED = "mirrored"
_WAY_OUT = "use nnunet-mamba predict for this model"


def page_model(description: ModelDescription, card: str) -> dict[str, Any]:
    """Return what the page knows of a model, as JSON values.

    Args:
        description: of a model for photographs with one label.
        card: its model card, Markdown; sections that it lacks are not told.

    Raises:
        ValueError: the page cannot show what the model predicts, or make of a photograph what it takes.
    """
    size = _size(description)
    if len(description.labels.foreground) != 1:
        listed = ", ".join(description.labels.foreground)
        raise ValueError(f"{description.name} has the labels {listed}, and the page shows one; {_WAY_OUT}")
    sections = dict(_sections(card))
    network = description.network
    return {
        "name": description.name,
        "title": description.trainer if network is None else network_title(description.trainer, network.preset),
        "version": __version__,
        "n_parameters": None if network is None else network.n_parameters,
        "size": {"height": size[0], "width": size[1]},
        "mirror_axes": list(description.mirror_axes),
        "postprocessing": list(description.postprocessing),
        "intended_use": _prose(sections.get("Intended use", "")),
        "training": _prose(sections.get("Training data", "")),
        "limits": _bullets(sections.get("Limits", "")),
        "scores": [
            {"data": score.data, "value": score.value, "n": score.n, "note": _plain_note(score)}
            for score in _shown_scores(description)
        ],
        "scores_explained": (
            "Dice tells how much of two outlines is common: 1 is the same outline as a person's, 0 is none of it. "
            "Each number is the mean over the cases, with the outline that this page draws at a threshold of 50 %."
        ),
        "licences": {"weights": description.licences.weights, "data": description.licences.data},
    }


def _size(description: ModelDescription) -> tuple[int, int]:
    """Return the size (y, x) to which photographs are brought, which the network must see whole."""
    conversion = description.image_conversion()
    if conversion.kind.value != "photographs" or len(conversion.channel_names) != _COLOURS:
        raise ValueError(
            f"{description.name} is for {conversion.kind.in_words}, the page takes photographs; {_WAY_OUT}"
        )
    if conversion.size is None or conversion.size != description.patch_size:
        patch = " x ".join(map(str, description.patch_size))
        raise ValueError(
            f"{description.name} sees windows of {patch} pixels of its images, the page needs a model that sees them "
            f"whole: trained on images resized to {patch}; {_WAY_OUT}"
        )
    return conversion.size


def _shown_scores(description: ModelDescription) -> Sequence[Score]:
    """Return the Dice of outlines that were made as the page makes them, one for each set of images."""
    made = _made(description)
    return [
        score
        for score in description.scores
        if (score.metric, score.protocol) == ("Dice", "mean over cases")
        and _every_step().intersection(score.note.split("; ")) == made
    ]


def _made(description: ModelDescription) -> set[str]:
    """Return how the page makes an outline, in the words of scores' notes."""
    steps = {step.replace("_", " ") for step in description.postprocessing}
    return steps | {_MIRRORED} if description.mirror_axes else steps


def _every_step() -> set[str]:
    return {_MIRRORED, *(step.replace("_", " ") for step in POSTPROCESSING)}


def _plain_note(score: Score) -> str:
    """Return what a score's note says besides how the outline was made."""
    return "; ".join(part for part in score.note.split("; ") if part not in _every_step())


def _sections(card: str) -> "zip[tuple[str, str]]":
    _, *parts = _HEADING.split(card)
    return zip(parts[::2], parts[1::2], strict=True)


def _prose(section: str) -> str:
    """Return a section's first paragraph of sentences; lists and tables are for engineers."""
    paragraphs = (" ".join(block.split()) for block in section.split("\n\n"))
    return next((text for text in paragraphs if text and not text.startswith(("-", "|", "Not stated."))), "")


def _bullets(section: str) -> list[str]:
    return [line[2:].strip() for line in section.splitlines() if line.startswith("- ")]
