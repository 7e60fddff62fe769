"""``model.json``: a model's description as JSON, and the way back, on which every entry is checked."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nnunet_mamba.data.formats.dataset_json import Labels
from nnunet_mamba.models.description import (
    POSTPROCESSING,
    FoldRecord,
    Licences,
    ModelDescription,
    NetworkDescription,
    Score,
    TrainingData,
    TrainingRecord,
)
from nnunet_mamba.models.needed_plans import (
    check_dataset_json,
    check_mirror_axes,
    check_name,
    check_plans,
    n_input_channels,
)
from nnunet_mamba.models.planned_network import as_tuples, preset_of_trainer
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import not_finite

if TYPE_CHECKING:
    from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion

MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "CARD.md"
# For people: nothing reads it back.
LOG_FILE = "training_log.csv"
# Raise it when an entry gets another meaning, or predicting needs one that files have not had.
FORMAT = 1
WAY_OUT = "it was damaged or changed by hand: get the model again, or pack it anew"
_NEWER = "install a newer nnunet-mamba"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLD = re.compile(r"all|0|[1-9]\d{0,3}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.md")


@dataclass(frozen=True, kw_only=True)
class StoredDescription:
    """What a model.json holds.

    Args:
        description: of the model.
        weights_sha256: of the file with the weights.
        card: name of the file with the model card.
    """

    description: ModelDescription
    weights_sha256: str
    card: str


def description_to_json(description: ModelDescription, *, weights_sha256: str | None = None) -> dict[str, Any]:
    """Return the content of model.json.

    Args:
        description: of the model.
        weights_sha256: of the file with the weights; None for a model that is no bundle.

    Raises:
        ValueError: a number in it is not finite.
    """
    content = {
        "format": FORMAT,
        "name": description.name,
        "network": None if description.network is None else asdict(description.network),
        "trainer": description.trainer,
        "configuration": description.configuration,
        "plans": description.plans,
        "dataset_json": description.dataset_json,
        "mirror_axes": list(description.mirror_axes),
        "folds": [asdict(fold) for fold in description.folds],
        "postprocessing": list(description.postprocessing),
        "conversion": None if description.conversion is None else description.conversion.to_json(),
        "data": asdict(description.data),
        "scores": [asdict(score) for score in description.scores],
        "training": asdict(description.training),
        "licences": asdict(description.licences),
        **({} if weights_sha256 is None else {"hashes": {WEIGHTS_FILE: weights_sha256}, "card": CARD_FILE}),
    }
    if (problem := next(not_finite(content), None)) is not None:
        raise ValueError(f"{MODEL_FILE}: {problem}, expected a finite number; correct it where it comes from")
    return content


def description_from_json(content: Any, file: str, *, way_out: str = WAY_OUT) -> StoredDescription:
    """Return what the content of a model.json says.

    Args:
        content: as JSON gives it.
        file: what to call the file.
        way_out: what to do if an entry is wrong.

    Raises:
        ValueError: an entry is missing, makes no sense, or contradicts another one; or the format is a newer one.
    """
    entry = Entry(content, file, way_out)
    return StoredDescription(
        description=description_in(entry),
        weights_sha256=_sha256(entry.at("hashes").at(WEIGHTS_FILE)),
        card=_card(entry.at("card")),
    )


def description_in(entry: Entry) -> ModelDescription:
    """Return what an entry says that has all of a model.json but the names and hashes of other files.

    Args:
        entry: an object.

    Raises:
        ValueError: see ``description_from_json``.
    """
    _check_format(entry.at("format"))
    trainer, configuration = entry.at("trainer"), check_name(entry.at("configuration"), "the name of a configuration")
    if not trainer.text("the name of a class").isidentifier() or "__" in trainer.text():
        trainer.refuse("the name of a class")
    n_channels, labels = check_dataset_json(entry.at("dataset_json"))
    check_plans(entry.at("plans"), configuration, n_channels=n_channels)
    plans = entry.at("plans").object()
    planned = plans["configurations"][configuration]
    wanted = {
        "input_channels": n_input_channels(n_channels, labels, planned),
        "num_classes": labels.n_outputs,
        "spatial_dims": len(planned["patch_size"]),
    }
    return ModelDescription(
        name=check_name(entry.at("name"), "a name"),
        network=_network(entry.at("network"), wanted, trainer.text()),
        trainer=trainer.text(),
        configuration=configuration,
        plans=plans,
        dataset_json=entry.at("dataset_json").object(),
        mirror_axes=check_mirror_axes(entry.at("mirror_axes"), wanted["spatial_dims"]),
        folds=_folds(entry.at("folds")),
        postprocessing=_postprocessing(entry.optional("postprocessing")),
        conversion=_conversion(entry.at("conversion"), n_channels, labels),
        data=_data(entry.at("data")),
        scores=scores_from(entry.at("scores")),
        training=_training(entry.at("training")),
        licences=_licences(entry.at("licences")),
    )


def _conversion(entry: Entry, n_channels: int, labels: Labels) -> "ImageConversion | None":
    """Return the conversion, whose channels and labels must be those of dataset_json."""
    if entry.value is None:
        return None
    # Not at the top: it brings numpy, and listing models needs none.
    from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion

    try:
        conversion = ImageConversion.from_json(entry.value, place=entry.place)
    except ValueError as error:
        raise ValueError(f"{error}; {WAY_OUT}") from error
    numbers = {0, *(labels.regions_class_order or labels.in_label_maps)}
    if len(conversion.channel_names) != n_channels or set(conversion.labels.values()) - numbers:
        entry.refuse(f"{n_channels} channels and labels of {sorted(numbers)}, as dataset_json has")
    return conversion


def scores_from(entry: Entry) -> tuple[Score, ...]:
    """Return the scores in a list.

    Args:
        entry: the list.

    Raises:
        ValueError: an entry is missing or makes no sense.
    """
    return tuple(
        Score(
            data=score.at("data").text("the name of images"),
            protocol=score.at("protocol").text("how the cases are counted"),
            metric=score.at("metric").text("the name of a metric"),
            value=score.at("value").number(),
            n=score.optional("n").whole_or_none(least=1),
            note=score.optional("note").text() if score.optional("note").value else "",
        )
        for score in entry.items()
    )


def _check_format(entry: Entry) -> None:
    number = entry.whole(least=1)
    if number > FORMAT:
        raise ValueError(f"{entry.place} is {number}, and this nnunet-mamba reads up to {FORMAT}; {_NEWER}")


def _network(entry: Entry, wanted: Mapping[str, int], trainer: str) -> NetworkDescription | None:
    """Return the network, which must fit the data set and the trainer.

    Args:
        entry: an object or null.
        wanted: what the plans and dataset.json say of it.
        trainer: name of one of ours or another one.
    """
    if entry.value is None:
        return None
    name = entry.at("preset").text("the name of a network")
    if name not in PRESETS:
        raise ValueError(f"{entry.at('preset').place} is {name!r}, which this nnunet-mamba does not know; {_NEWER}")
    preset = preset_of_trainer(trainer)
    if preset is not None and preset.name != name:
        entry.at("preset").refuse(f"{preset.name!r}, which {trainer} trains")
    for number, expected in wanted.items():
        if entry.at(number).whole(least=1) != expected:
            entry.at(number).refuse(f"{expected}, as the plans and dataset_json say")
    if wanted["spatial_dims"] not in PRESETS[name].spatial_dims:
        entry.at("spatial_dims").refuse(f"one of {', '.join(map(str, PRESETS[name].spatial_dims))}")
    arguments = entry.at("arguments").object()
    return NetworkDescription(
        preset=name,
        arguments={argument: as_tuples(value) for argument, value in arguments.items()},
        n_parameters=entry.optional("n_parameters").whole_or_none(least=1),
        **wanted,
    )


def _folds(entry: Entry) -> tuple[FoldRecord, ...]:
    folds: list[FoldRecord] = []
    for fold in entry.items():
        name = fold.at("name")
        if not _FOLD.fullmatch(name.text()) or name.text() in [known.name for known in folds]:
            name.refuse('"0", "1", … or "all", each once')
        folds.append(
            FoldRecord(
                name=name.text(),
                epochs=fold.optional("epochs").whole_or_none(),
                best_ema_dice=fold.optional("best_ema_dice").number_or_none(),
            )
        )
    return tuple(folds) or entry.refuse("at least one fold")


def _postprocessing(entry: Entry) -> tuple[str, ...]:
    if entry.value is None:
        return ()
    steps = tuple(step.text("a step") for step in entry.items())
    if set(steps) - set(POSTPROCESSING):
        raise ValueError(
            f"{entry.place} is {list(steps)}, and this nnunet-mamba knows {list(POSTPROCESSING)}; {_NEWER}"
        )
    return steps


def _data(entry: Entry) -> TrainingData:
    sha256 = entry.optional("splits_sha256")
    return TrainingData(
        dataset=entry.at("dataset").text("the name of a data set"),
        splits=entry.optional("splits").text_or_none(),
        splits_sha256=None if sha256.value is None else _sha256(sha256),
        n_cases=entry.optional("n_cases").whole_or_none(least=1),
    )


def _training(entry: Entry) -> TrainingRecord:
    return TrainingRecord(
        trainer=entry.at("trainer").text("the name of a trainer"),
        epochs=entry.optional("epochs").whole_or_none(),
        seed=entry.optional("seed").whole_or_none(),
        seconds=entry.optional("seconds").number_or_none(),
        device=entry.optional("device").text_or_none(),
        versions={name: version.text("a version") for name, version in entry.at("versions").entries()},
    )


def _licences(entry: Entry) -> Licences:
    return Licences(**{part: entry.at(part).text("a licence") for part in ("code", "weights", "data")})


def _sha256(entry: Entry) -> str:
    return entry.text() if _SHA256.fullmatch(entry.text()) else entry.refuse("a SHA-256 of 64 hexadecimal digits")


def _card(entry: Entry) -> str:
    return (
        entry.text() if _FILE_NAME.fullmatch(entry.text()) else entry.refuse(f"the name of a file such as {CARD_FILE}")
    )
