"""JSON from strangers, checked entry by entry: an error names the place, what is there and the way out."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Entry:
    """A value in a JSON file, and where it stands.

    Args:
        value: of any kind.
        file: what to call the file.
        way_out: what to do if the value is wrong.
        path: from the top of the file, such as "scores[0].value"; "" for all of it.
    """

    value: Any
    file: str
    way_out: str
    path: str = ""

    @property
    def place(self) -> str:
        """The file and the place in it, for texts."""
        return f"{self.file}: {self.path}" if self.path else self.file

    def refuse(self, expected: str) -> NoReturn:
        """Raise an error that tells what was expected here.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.place} is {_shown(self.value)}, expected {expected}; {self.way_out}")

    def object(self) -> Mapping[str, Any]:
        """Return the value, an object."""
        return self.value if isinstance(self.value, Mapping) else self.refuse("an object")

    def has(self, name: str) -> bool:
        """Return whether the object has an entry of this name that is not null."""
        return self.object().get(name) is not None

    def at(self, name: str) -> "Entry":
        """Return an entry of the object.

        Raises:
            ValueError: it has none of this name.
        """
        if name not in self.object():
            raise ValueError(f"{self.place} has no entry {name!r}; {self.way_out}")
        return self._inside(self.value[name], f".{name}" if self.path else name)

    def optional(self, name: str) -> "Entry":
        """Return an entry of the object, null where it has none of this name."""
        return self._inside(self.object().get(name), f".{name}" if self.path else name)

    def items(self, *, n: int | None = None) -> Iterator["Entry"]:
        """Return the items of the list.

        Args:
            n: how many it must have; None for any number.
        """
        wanted = "a list" if n is None else f"a list of {n}"
        if not isinstance(self.value, list | tuple) or (n is not None and len(self.value) != n):
            self.refuse(wanted)
        return (self._inside(value, f"[{index}]") for index, value in enumerate(self.value))

    def entries(self) -> Iterator[tuple[str, "Entry"]]:
        """Return the entries of the object with their names."""
        return ((name, self.at(name)) for name in self.object())

    def text(self, expected: str = "a text") -> str:
        """Return the value, a text that is not empty."""
        return self.value if isinstance(self.value, str) and self.value.strip() else self.refuse(expected)

    def text_or_none(self) -> str | None:
        """Return the value, a text that is not empty or null."""
        return None if self.value is None else self.text("a text or null")

    def whole(self, *, least: int = 0) -> int:
        """Return the value, a whole number of at least ``least``."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < least:
            self.refuse(f"a whole number, at least {least}")
        return self.value

    def whole_or_none(self, *, least: int = 0) -> int | None:
        """Return the value, a whole number of at least ``least`` or null."""
        return None if self.value is None else self.whole(least=least)

    def number(self) -> float:
        """Return the value, a finite number."""
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return float(self.value) if is_number and math.isfinite(self.value) else self.refuse("a finite number")

    def number_or_none(self) -> float | None:
        """Return the value, a finite number or null."""
        return None if self.value is None else self.number()

    def flag(self) -> bool:
        """Return the value, true or false."""
        return self.value if isinstance(self.value, bool) else self.refuse("true or false")

    def _inside(self, value: Any, step: str) -> "Entry":
        return replace(self, value=value, path=self.path + step)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
