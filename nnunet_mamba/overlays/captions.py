"""Words on pictures: captions, and a legend below."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nnunet_mamba.overlays.strokes import Pen, draw_line

_PAPER, _INK, _SOFT_INK = "#161616", "#f2f2f2", "#a8a8a8"
_SMALLEST_LETTERS = 17  # pixels: in smaller ones, spaces vanish
# Pictures are so many letters long.
_CAPTION, _LEGEND = 36, 56
# In sizes of letters: a sample of a line, the gap behind it, a row of the legend.
_SAMPLE, _GAP, _LINE = 2.6, 0.6, 1.6
# A sample is so long that two dashes of a dashed line fit.
_SAMPLE_WIDTHS = 6


def write_caption(picture: Image.Image, text: str, *, at_top: bool = False) -> None:
    """Write a line into the lower left corner of a picture, or the upper one; white with a dark edge.

    Args:
        picture: RGB; is changed.
        text: short.
        at_top: whether it stands in the upper corner.
    """
    size = _size_of_letters(picture, _CAPTION)
    margin = size * _GAP
    ImageDraw.Draw(picture).text(
        (margin, margin if at_top else picture.height - margin),
        text,
        fill="white",
        font=ImageFont.load_default(size),
        anchor="la" if at_top else "ld",
        stroke_width=max(1, size // 14),
        stroke_fill="black",
    )


def add_legend(picture: Image.Image, found: Mapping[str, Pen], absent: Sequence[str]) -> Image.Image:
    """Return a picture with a legend below it.

    Args:
        picture: RGB.
        found: labels that the picture shows, with their pens.
        absent: labels that were looked for and not found.
    """
    size = _size_of_letters(picture, _LEGEND)
    font = ImageFont.load_default(size)
    sample, gap, line = (round(size * height) for height in (_SAMPLE, _GAP, _LINE))

    def width_of_entry(name: str) -> float:
        return sample + gap + font.getlength(name) + 2 * gap

    limit = picture.width - 2 * size
    entries = list(_rows(found, limit, width_of_entry))
    sentence = list(_rows(_not_found(absent), limit, lambda word: font.getlength(f"{word} ")))
    page = Image.new("RGB", (picture.width, picture.height + line * (len(entries) + len(sentence)) + size), _PAPER)
    page.paste(picture)
    draw = ImageDraw.Draw(page)
    y = picture.height + (size + line) / 2
    for row in entries:
        x = float(size)
        for name in row:
            draw_line(page, np.array([[x, y], [x + sample, y]]), found[name], width=size / _SAMPLE_WIDTHS)
            draw.text((x + sample + gap, y), name, fill=_INK, font=font, anchor="lm")
            x += width_of_entry(name)
        y += line
    for row in sentence:
        draw.text((size, y), " ".join(row), fill=_SOFT_INK, font=font, anchor="lm")
        y += line
    return page


def _size_of_letters(picture: Image.Image, letters: int) -> int:
    return max(_SMALLEST_LETTERS, round(max(picture.size) / letters))


def _not_found(absent: Sequence[str]) -> list[str]:
    """Return the words of a sentence about labels that are not there."""
    return f"not found: {', '.join(absent)}".split() if absent else []


def _rows(words: Iterable[str], limit: float, width_of: Callable[[str], float]) -> Iterator[list[str]]:
    """Yield words in rows that are full before the next one begins."""
    row: list[str] = []
    for word in words:
        if row and sum(map(width_of, [*row, word])) > limit:
            yield row
            row = []
        row.append(word)
    if row:
        yield row
