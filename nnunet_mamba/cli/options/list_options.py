"""Options whose text holds several values."""

import re
from collections.abc import Sequence


def parse_names(texts: str | Sequence[str], *, option: str) -> list[str]:
    """Return the names in lists with commas, such as "A,B".

    Args:
        texts: of the option, one for each time it was given.
        option: as the user writes it.

    Raises:
        ValueError: a text names nothing, or a name occurs twice.
    """
    names: list[str] = []
    for text in [texts] if isinstance(texts, str) else texts:
        found = [name.strip() for name in text.split(",") if name.strip()]
        if not found:
            raise ValueError(f"{option} {text!r} names nothing, expected names with commas between them")
        names += found
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{option} names {', '.join(repeated)} more than once")
    return names


def parse_sizes(text: str, *, option: str) -> tuple[int, ...]:
    """Return the two or three numbers of "128 128", "128,128" or "128x128".

    Args:
        text: of the option.
        option: as the user writes it.

    Raises:
        ValueError: it is no such text, or a number is 0.
    """
    sizes = [int(number) for number in re.findall(r"\d+", text)]
    if not re.fullmatch(r"\d+([ ,x×]+\d+){1,2}", text.strip()) or min(sizes) < 1:
        raise ValueError(f"{option} {text!r}: expected two or three positive numbers; pass 128x128, for example")
    return tuple(sizes)
