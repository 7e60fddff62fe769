"""How wide a text is before it is drawn, and long names made to fit."""

import re

# In ems, rather a little too wide: fonts differ, and DejaVu Sans is among the widest that pages are shown in.
_CLASSES = ((0.34, "ijlI'|.,:;!"), (0.45, 'ftr()[]-/ "°'), (0.9, "w…%Q→←±−+<>=×~"), (1.0, "mMW@—"))
_EMS = {letter: width for width, letters in _CLASSES for letter in letters}
# Behind spaces and the signs that part words of a name, and before its capitals.
_PARTS = re.compile(r"(?<=[\s_,-])|(?<=[a-z0-9])(?=[A-Z])")
_CAPITAL, _OTHER, _WIDEST = 0.74, 0.64, 1.0


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is, in the unit of its size.

    Args:
        text: one line.
        size: of the font.
    """
    return size * sum(_letter_width(letter) for letter in text)


def _letter_width(letter: str) -> float:
    if letter in _EMS:
        return _EMS[letter]
    # Letters of East Asia are square.
    return _WIDEST if letter > "\u2e7f" else _CAPITAL if letter.isupper() else _OTHER


def wrapped(text: str, *, width: float, size: float) -> list[str]:
    """Return a text as lines that are not wider than some width, broken between its words or the parts of names.

    Args:
        text: one line; a part that is too long is broken anywhere.
        width: of a line.
        size: of the font, in the same unit.
    """
    lines = [""]
    for part in _PARTS.split(text):
        if text_width((lines[-1] + part).rstrip(), size) > width and lines[-1]:
            lines.append("")
        for letter in part:
            if text_width(lines[-1] + letter.strip(), size) > width and lines[-1]:
                lines.append("")
            lines[-1] += letter
    return [line.rstrip() for line in lines if line.strip()] or [""]


def in_two_lines(text: str, *, width: float, size: float) -> list[str]:
    """Return a name that is wider than some width as two lines of like width, another name as it is.

    Args:
        text: one line.
        width: that one line may have.
        size: of the font, in the same unit.
    """
    parts = _PARTS.split(text)
    if text_width(text, size) <= width or len(parts) == 1:
        return [text]
    halves = [("".join(parts[:place]).rstrip(), "".join(parts[place:])) for place in range(1, len(parts))]
    return list(min(halves, key=lambda lines: max(text_width(line, size) for line in lines)))


def shortened(text: str, most: int) -> str:
    """Return a name, cut in its middle if it is longer than some signs."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"
