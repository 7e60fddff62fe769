"""Read nnU-Net's dataset.json, which people write by hand: labels, regions, file ending, and all that is wrong."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from nnunet_mamba.system.json_files import read_json_object

BACKGROUND = "background"
IGNORE = "ignore"
# nnU-Net writes label maps with 16 bits at most.
LARGEST_LABEL = 65535

# A label's value, or those that a region joins.
LabelOrRegion: TypeAlias = int | tuple[int, ...]

_EXAMPLE = '{"background": 0, "lesion": 1}'


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels or regions of a data set.

    Args:
        values: by name, in the order of the file; "ignore" too.
        regions_class_order: the value that each region has in a label map that nnU-Net writes; empty without regions.
    """

    values: Mapping[str, LabelOrRegion]
    regions_class_order: tuple[int, ...] = ()

    @property
    def has_regions(self) -> bool:
        """Whether nnU-Net predicts regions: a list of one value is a label like any other."""
        return any(isinstance(value, tuple) and len(value) > 1 for value in self.values.values())

    @property
    def in_label_maps(self) -> list[int]:
        """All values that a label map may have, sorted."""
        return sorted({number for value in self.values.values() for number in _numbers(value)})

    @property
    def foreground(self) -> list[str]:
        """The names of all labels or regions but background and ignore, in the order of the file."""
        return [name for name, value in self.values.items() if name != IGNORE and set(_numbers(value)) != {0}]

    @property
    def n_outputs(self) -> int:
        """How many channels nnU-Net gives a network's logits: one for each region, or for each label and background."""
        if self.has_regions:
            return len(self.foreground)
        return len({number for name, value in self.values.items() if name != IGNORE for number in _numbers(value)})

    @property
    def names(self) -> dict[str, str]:
        """The name of each label or region of the foreground by its key in nnU-Net's summary.json."""
        names = {}
        for name in self.foreground:
            value = self.values[name]
            names[str(value)] = name
            # nnU-Net takes a list of one value as a plain label unless another label is a region.
            if isinstance(value, tuple) and len(value) == 1:
                names[str(value[0])] = name
        return names


@dataclass(frozen=True, kw_only=True)
class DatasetJson:
    """What a dataset.json says of label maps.

    Args:
        content: all of it, as nnU-Net reads it, with labels as numbers.
        labels: of the data set.
        file_ending: of label maps, with its dot.
    """

    content: Mapping[str, Any]
    labels: Labels
    file_ending: str


def read_dataset_json(path: Path) -> DatasetJson:
    """Read a dataset.json and check what it says of labels and files.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: nnU-Net could not use it; lists all that is wrong.
    """
    return dataset_json_in(read_json_object(path, any_encoding=True, unique_names=True), place=str(path))


def dataset_json_in(content: Mapping[str, Any], *, place: str = "dataset.json") -> DatasetJson:
    """Return what the content of a dataset.json says, wherever it is kept.

    Args:
        content: of the file.
        place: the file, for the text of the error.

    Raises:
        ValueError: nnU-Net could not use it; lists all that is wrong.
    """
    labels, problems = _checked(content)
    _refuse(problems, place)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in labels.values.items()}
    return DatasetJson(content={**content, "labels": plain}, labels=labels, file_ending=content["file_ending"])


def problems_of_labels(content: Mapping[str, Any]) -> list[str]:
    """Return all that keeps nnU-Net from using the labels, regions and file ending in the content of a dataset.json."""
    return _checked(content)[1]


def labels_in(content: Mapping[str, Any], *, place: str = "dataset.json") -> Labels:
    """Return the labels in the content of a dataset.json, whatever else is in it.

    Args:
        content: of the file.
        place: the file, for the text of the error.

    Raises:
        ValueError: nnU-Net could not use them; lists all that is wrong.
    """
    problems: list[str] = []
    labels = _checked_labels(content, problems)
    _refuse(problems, place)
    return labels


def _checked(content: Mapping[str, Any]) -> tuple[Labels, list[str]]:
    problems: list[str] = []
    labels = _checked_labels(content, problems)
    if not problems:
        labels = replace(labels, regions_class_order=_checked_order(content, labels, problems))
    _check_file_ending(content, problems)
    return labels, problems


def _refuse(problems: Sequence[str], place: str) -> None:
    if len(problems) == 1:
        raise ValueError(f"{place}: {problems[0]}")
    if problems:
        raise ValueError(f"{place} has {len(problems)} problems:\n  " + "\n  ".join(problems))


def _check_file_ending(content: Mapping[str, Any], problems: list[str]) -> None:
    if "file_ending" not in content:
        problems.append('it has no "file_ending", expected that of the label maps, such as ".png" or ".nii.gz"')
        return
    ending = content["file_ending"]
    if not isinstance(ending, str) or not ending.strip(". "):
        problems.append(f'"file_ending" is {_shown(ending)}, expected a text such as ".png" or ".nii.gz"')
    elif not ending.startswith(".") or ending != ending.strip():
        wanted = "." + ending.strip().lstrip(".")
        problems.append(f'"file_ending" is {_shown(ending)}, expected a dot first and no spaces: {_shown(wanted)}')
    elif "/" in ending or "\\" in ending:
        problems.append(f'"file_ending" is {_shown(ending)}, expected the end of a file\'s name, such as ".png"')


def _checked_labels(content: Mapping[str, Any], problems: list[str]) -> Labels:
    """Return the labels that are right, and add what is wrong to ``problems``."""
    if "labels" not in content:
        problems.append(f'it has no "labels", expected a value for each name, such as {_EXAMPLE}')
        return Labels(values={})
    stored = content["labels"]
    if not isinstance(stored, dict) or not stored:
        problems.append(f'"labels" is {_shown(stored)}, expected a value for each name, such as {_EXAMPLE}')
        return Labels(values={})
    if turned := _turned_around(stored):
        problems.append(
            f'"labels" leads from value to name, as in version 1 of nnU-Net; version 2 wants "labels": {turned}'
        )
        return Labels(values={})
    known = len(problems)
    values = {name: _checked_value(name, value, problems) for name, value in stored.items()}
    _check_names(stored, problems)
    labels = Labels(values={name: value for name, value in values.items() if value is not None})
    # The next checks need all values.
    if len(problems) > known:
        return labels
    _check_background(labels, problems)
    _check_distinct(labels, problems)
    _check_ignore(labels, problems)
    return labels


def _turned_around(stored: Mapping[str, Any]) -> str:
    """Return labels by name where they are given by value, "" where they are not."""
    if not all(isinstance(name, str) for name in stored.values()) or not all(_is_digits(value) for value in stored):
        return ""
    return json.dumps({name: int(value) for value, name in stored.items()}, ensure_ascii=False)


def _is_digits(text: str) -> bool:
    return text.strip().isascii() and text.strip().isdigit()


def _check_names(stored: Mapping[str, Any], problems: list[str]) -> None:
    for name in stored:
        plain = name.strip().lower()
        if not plain:
            problems.append(f'"labels" has the name {_shown(name)}, expected one such as "lesion"')
        elif any(ord(sign) < ord(" ") or "\ud800" <= sign <= "\udfff" for sign in name):
            problems.append(
                f'"labels" has the name {json.dumps(name)}, expected one without line breaks and other characters that '
                "cannot be printed"
            )
        elif plain in (BACKGROUND, IGNORE) and name != plain:
            problems.append(
                f'"labels" has {_shown(name)}, which nnU-Net takes for a label like any other; write {_shown(plain)}, '
                "in small letters"
            )


def _checked_value(name: str, value: Any, problems: list[str]) -> LabelOrRegion | None:
    """Return a label's value or a region's values; None for what is neither."""
    if not isinstance(value, list):
        number = _whole_number(value)
        if number is None:
            problems.append(f"label {_shown(name)} is {_shown(value)}, expected a whole number, 0 to {LARGEST_LABEL}")
        return number
    numbers = [_whole_number(entry) for entry in value]
    if name in (BACKGROUND, IGNORE):
        problems.append(f"label {_shown(name)} is {_shown(value)}, expected one whole number without brackets")
        return None
    if not numbers or None in numbers:
        problems.append(
            f"region {_shown(name)} is {_shown(value)}, expected whole numbers, 0 to {LARGEST_LABEL}, such as [1, 2]"
        )
        return None
    return tuple(number for number in numbers if number is not None)


def _whole_number(value: Any) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value != int(value) or not 0 <= value <= LARGEST_LABEL:
        return None
    return int(value)


def _check_background(labels: Labels, problems: list[str]) -> None:
    if BACKGROUND not in labels.values:
        problems.append(f'"labels" has no "background", which nnU-Net wants as 0: {_EXAMPLE}')
    elif labels.values[BACKGROUND] != 0:
        problems.append(f'label "background" is {labels.values[BACKGROUND]}, expected 0')
    elif not labels.foreground:
        problems.append(f'"labels" has nothing but the background, expected at least one label, as in {_EXAMPLE}')


def _check_distinct(labels: Labels, problems: list[str]) -> None:
    owner: dict[frozenset[int], str] = {}
    for name, value in labels.values.items():
        numbers = frozenset(_numbers(value))
        if numbers in owner:
            shown = list(value) if isinstance(value, tuple) else value
            problems.append(
                f"labels {_shown(owner[numbers])} and {_shown(name)} are both {shown}, expected different ones"
            )
        owner.setdefault(numbers, name)


def _check_ignore(labels: Labels, problems: list[str]) -> None:
    others = [number for name, value in labels.values.items() if name != IGNORE for number in _numbers(value)]
    ignored = labels.values.get(IGNORE)
    if ignored is not None and others and ignored != max(others) + 1:
        problems.append(
            f'label "ignore" is {ignored}, expected {max(others) + 1}: nnU-Net wants it one above all others; give it '
            "this value in the label maps, too"
        )


def _checked_order(content: Mapping[str, Any], labels: Labels, problems: list[str]) -> tuple[int, ...]:
    if not labels.has_regions:
        return ()
    regions = labels.foreground
    wanted = f"one number for each of the regions {', '.join(regions)}"
    stored = content.get("regions_class_order")
    if stored is None:
        problems.append(f'it has regions, but no "regions_class_order", expected {wanted}')
        return ()
    numbers = [_whole_number(entry) for entry in stored] if isinstance(stored, list) else []
    if len(numbers) != len(regions) or None in numbers:
        problems.append(
            f'"regions_class_order" is {_shown(stored)}, expected {wanted}, such as {_example_order(labels)}'
        )
        return ()
    return tuple(number for number in numbers if number is not None)


def _example_order(labels: Labels) -> list[int]:
    """Return a possible value for each region: small regions choose first, since others have more to choose from."""
    taken: dict[str, int] = {}
    for name in sorted(labels.foreground, key=lambda name: len(set(_numbers(labels.values[name])))):
        numbers = sorted(_numbers(labels.values[name]))
        taken[name] = next((number for number in numbers if number not in taken.values()), numbers[0])
    return [taken[name] for name in labels.foreground]


def _numbers(value: LabelOrRegion) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
