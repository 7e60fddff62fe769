"""Which values or colours of a mask mean which label, named by the user and never guessed from the masks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.dataset_json import BACKGROUND, IGNORE
from nnunet_mamba.data.formats.image_files import ByteImage
from nnunet_mamba.data.formats.whole_numbers import UNDEFINED, shown_number
from nnunet_mamba.system.json_files import read_json_object

# A number that a mask holds, or a colour as "#rrggbb".
SourceValue: TypeAlias = int | str

NAME_VALUES = "name them in `labels`"
SHOWN_VALUES = 8
# So many unknown values are hardly labels that somebody forgot.
MANY_VALUES = 16
LARGEST_VALUE = 2**31 - 1  # what volumes of whole numbers hold

_GREY = 0x010101  # times a grey level: its colour
_UNKNOWN = 255  # marks positions of other values, hence at most 255 labels
_EXAMPLE = '{"background": 0, "lesion": 255}'
_EXAMPLE_WITH_SEVERAL = '{"background": 0, "lesion": [254, 255]}'


class UnknownValuesError(ValueError):
    """A mask holds values that no label has; the text names them with their counts, but not the file."""


@dataclass(frozen=True)
class LabelValues:
    """The labels of a data set, each with the values that mean it in a mask.

    Labels are numbered as nnU-Net wants them: background is 0, the others follow in their order, and "ignore",
    which nnU-Net leaves out of the loss, comes last.

    Args:
        values: per label its numbers or "#rrggbb" colours; "background" comes first.
    """

    values: Mapping[str, tuple[SourceValue, ...]]

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> "LabelValues":
        """Return the labels of a mapping as the user writes it.

        Args:
            mapping: label to a value or a list of values. A number is an integer, a colour "#rrggbb". Without
                "background", that is 0 (black).

        Raises:
            ValueError: no foreground, a name or value that is none, or one value for two labels.
        """
        _refuse_names(list(mapping))
        named = {name: _value_list(name, values) for name, values in mapping.items()}
        ordered = {BACKGROUND: named.pop(BACKGROUND, (0,))}
        ignored = {IGNORE: named.pop(IGNORE)} if IGNORE in named else {}
        if not named:
            raise ValueError(f"labels {list(mapping)}: expected at least one besides background, such as {_EXAMPLE}")
        labels = cls({**ordered, **named, **ignored})
        if len(labels.values) > _UNKNOWN:
            raise ValueError(f"{len(labels.values)} labels: expected at most {_UNKNOWN}")
        owner: dict[int | str, str] = {}
        for name, values in labels.values.items():
            for value in values:
                # Compare colours: 255 and "#ffffff" are the same in a picture.
                key = colour_code(value) if _is_colour_or_grey(value) else value
                if key in owner:
                    raise ValueError(_claimed_twice(value, owner[key], name, is_named=BACKGROUND in mapping))
                owner[key] = name
        return labels

    @property
    def numbers(self) -> dict[str, int]:
        """Return each label's number in nnU-Net's label files: 0, 1, 2, ..."""
        return {name: number for number, name in enumerate(self.values)}

    def recorded(self) -> dict[str, list[SourceValue]]:
        """Return the values of every label, in the order of their numbers, as JSON."""
        return {name: list(values) for name, values in self.values.items()}

    def for_dataset_json(self, *, sigmoid: bool) -> tuple[dict[str, int | list[int]], tuple[int, ...] | None]:
        """Return what dataset.json says of the labels, and the class order of regions.

        Args:
            sigmoid: declare every foreground label as a region of its own, one sigmoid output each. nnU-Net takes a
                list for a region only if it has more than one value, hence [1, 1].
        """
        if not sigmoid:
            return dict(self.numbers), None
        regions = [number for name, number in self.numbers.items() if name not in (BACKGROUND, IGNORE)]
        labels = {name: [n, n] if n in regions else n for name, n in self.numbers.items()}
        return labels, tuple(regions)

    def in_colours(self) -> dict[int, int]:
        """Return the number of each colour 0xRRGGBB.

        Raises:
            ValueError: a value that no picture of 8 bits holds.
        """
        for name, values in self.values.items():
            for value in values:
                if not _is_colour_or_grey(value):
                    raise ValueError(f"label {name!r}, value {value!r}: pictures hold 0 to 255, or '#rrggbb'")
        return self._number_of({value: colour_code(value) for values in self.values.values() for value in values})

    def in_integers(self) -> dict[int, int]:
        """Return the number of each integer value.

        Raises:
            ValueError: a colour.
        """
        for name, values in self.values.items():
            for value in values:
                if isinstance(value, str):
                    raise ValueError(f"label {name!r}, value {value!r}: volumes have no colours; expected an integer")
        return self._number_of({value: int(value) for values in self.values.values() for value in values})

    def _number_of(self, code_of: Mapping[SourceValue, int]) -> dict[int, int]:
        return {code_of[value]: self.numbers[name] for name, values in self.values.items() for value in values}

    def foreground_share(self, label: ByteImage) -> float:
        """Return the share of positions that are neither background nor ignored.

        Args:
            label: (*spatial), the labels' numbers.
        """
        foreground = label != 0
        if IGNORE in self.values:
            foreground &= label != self.numbers[IGNORE]
        return float(foreground.mean())

    @property
    def is_binary(self) -> bool:
        """Whether there is one label besides background and what is ignored."""
        return len(self.values.keys() - {BACKGROUND, IGNORE}) == 1

    def empty_text(self, label: ByteImage, unit: str) -> str:
        """Return what is wrong with a label map without foreground, "" if it has some.

        Args:
            label: (*spatial), the labels' numbers.
            unit: what a position is called.
        """
        if self.foreground_share(label):
            return ""
        n_ignored = int(np.count_nonzero(label))
        found = f"every {unit} is background"
        if n_ignored:
            rest = "" if n_ignored == label.size else " or background"
            found = f"every {unit} is {IGNORE!r}{rest} ({n_ignored} are {IGNORE!r}), nothing of it can be learned"
        return f"empty mask: {found}; if that is meant, use `allow_empty_masks=True`"


def read_label_values(path: Path) -> LabelValues:
    """Read the labels of a data set from a JSON file.

    Args:
        path: holds one object, such as ``{"background": 0, "lesion": [255, "#ff0000"]}``.

    Raises:
        ValueError: no such object.
        OSError: unreadable.
    """
    try:
        content = read_json_object(path, any_encoding=True, unique_names=True)
    except ValueError as error:
        raise ValueError(f"`labels` {error}; write it as in {_EXAMPLE_WITH_SEVERAL}") from error
    try:
        return LabelValues.of(content)
    except ValueError as error:
        raise ValueError(f"`labels` {path}: {error}") from error


def label_map(values: npt.NDArray[Any], number_of: Mapping[int, int], *, colours: bool) -> ByteImage:
    """Return the label of every position.

    Args:
        values: (*spatial), what the mask holds; of ``near_whole_numbers`` if it may miss some by a little.
        number_of: label of every value.
        colours: whether values are colours 0xRRGGBB, for the text of the error.

    Returns:
        (*spatial), numbers as in ``number_of``.

    Raises:
        UnknownValuesError: values without a label.
    """
    label: ByteImage = np.full(values.shape, _UNKNOWN, np.uint8)
    for value, number in number_of.items():
        label[values == value] = number
    unknown, counts = np.unique(values[label == _UNKNOWN], return_counts=True)
    if unknown.size:
        raise UnknownValuesError(_unknown_text(unknown, counts, number_of, colours=colours))
    return label


def _unknown_text(
    unknown: npt.NDArray[Any], counts: npt.NDArray[Any], number_of: Mapping[int, int], *, colours: bool
) -> str:
    def name(value: Any) -> str:
        return colour_name(int(value)) if colours else shown_number(value)

    commonest = np.argsort(-counts, kind="stable")[:SHOWN_VALUES]
    shown = ", ".join(f"{name(unknown[i])} ({counts[i]}x)" for i in commonest)
    more = f" and {unknown.size - SHOWN_VALUES} more" if unknown.size > SHOWN_VALUES else ""
    known = sorted(number_of)
    expected = ", ".join(name(value) for value in known[:SHOWN_VALUES]) + (", ..." if len(known) > SHOWN_VALUES else "")
    way_out = NAME_VALUES
    if colours and unknown.size >= MANY_VALUES:
        is_grey = not (unknown % _GREY).any()
        way_out = (
            "grey borders, as of a resized mask? For one label, draw the line with `threshold=127`"
            if is_grey
            else "compression makes such colours; save the masks without loss, as PNG"
        )
    elif not np.isfinite(unknown).all():
        way_out = UNDEFINED
    elif not colours and (unknown != np.rint(unknown)).any():
        way_out = (
            "values between labels, as interpolation makes; take the original mask, or draw the line with `threshold`"
        )
    count = f"{unknown.size} unknown value{'s' if unknown.size > 1 else ''}"
    return f"{count}: {shown}{more}; expected {expected}; {way_out}"


def colour_code(value: SourceValue) -> int:
    """Return 0xRRGGBB of a grey level 0 to 255 or of a "#rrggbb".

    Args:
        value: one of these.
    """
    return value * _GREY if isinstance(value, int) else int(value[1:], 16)


def colour_name(code: int) -> str:
    """Return a grey level as its number and any other colour as "#rrggbb".

    Args:
        code: 0xRRGGBB.
    """
    return str(code // _GREY) if code % _GREY == 0 else f"#{code:06x}"


def colour_codes(pixels: ByteImage) -> npt.NDArray[np.int32]:
    """Return the colour 0xRRGGBB of every pixel.

    Args:
        pixels: (y, x) grey levels or (y, x, 3) RGB.

    Returns:
        (y, x).
    """
    if pixels.ndim == 2:
        return pixels.astype(np.int32) * _GREY
    wide = pixels.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _refuse_names(names: Sequence[Any]) -> None:
    """Raise for a label without a name, or whose name differs from another or from nnU-Net's own in capitals only."""
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"a label without a name, {name!r}; expected a name such as 'lesion'")
        key = name.strip().casefold()
        if key in (BACKGROUND, IGNORE) and name != key:
            raise ValueError(
                f"label {name!r}: nnU-Net would learn it as a class like any other, it only knows {key!r}; write "
                f"{key!r}, in small letters and without spaces, or give a class another name"
            )
        if name != name.strip():
            raise ValueError(f"label {name!r} begins or ends with a space; expected {name.strip()!r}")
        if key in seen:
            raise ValueError(f"labels {seen[key]!r} and {name!r} differ in capitals only; give one another name")
        seen[key] = name


def _claimed_twice(value: SourceValue, owner: str, name: str, *, is_named: bool) -> str:
    if owner == name:
        return f"label {name!r} has the value {value!r} twice; keep one"
    text = f"value {value!r} stands for two labels, {owner!r} and {name!r}; keep one"
    # The user has not written background's value.
    return (
        text if is_named or owner != BACKGROUND else f"{text}, or give 'background', which is 0 if not named, another"
    )


def _value_list(name: str, values: Any) -> tuple[SourceValue, ...]:
    listed: Sequence[Any] = values if isinstance(values, list | tuple) else [values]
    if not listed:
        raise ValueError(f"label {name!r} has no value; give one, or leave the label out")
    return tuple(_checked_value(name, value) for value in listed)


def _checked_value(name: str, value: Any) -> SourceValue:
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_VALUE:
            raise ValueError(f"label {name!r}, value {str(value)[:24]}: expected {-LARGEST_VALUE} to {LARGEST_VALUE}")
        return value
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        return value.lower()
    raise ValueError(f"label {name!r}, value {value!r}: expected an integer such as 255 or a colour such as '#ff0000'")


def _is_colour_or_grey(value: SourceValue) -> bool:
    return isinstance(value, str) or 0 <= value <= 255
