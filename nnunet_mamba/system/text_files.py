"""Read text files as editors and spreadsheets save them, or only as nnU-Net reads them."""

import codecs
from pathlib import Path

# The marks of UTF-32 begin as those of UTF-16 do.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Tables of ten thousand images have less than a hundredth of it.
LARGEST_TEXT = 256 * 2**20


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Args:
        path: of the file.

    Raises:
        ValueError: no such text, or too much of it; the text does not name the file.
        OSError: unreadable.
    """
    if path.is_dir():
        raise ValueError("it is a folder, expected a text file")
    # Read at most that much: a device or a pipe has no size.
    with path.open("rb") as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"it is too large, expected a text of at most {LARGEST_TEXT / 2**20:.0f} MiB")
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None) or _unmarked(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"no text in UTF-8 ({error.reason}); save it in UTF-8") from error
    if "\0" in text:
        raise ValueError("no text: it holds zero bytes; save it as text in UTF-8")
    return text


def read_utf8_text(path: Path) -> str:
    """Return the text of a file in UTF-8 without a byte order mark.

    Args:
        path: of the file.

    Raises:
        ValueError: it is in another encoding; the text follows the name of the file, which it does not have.
        OSError: unreadable.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("is UTF-16 text, which nnU-Net cannot read; save it as UTF-8")
    if content.startswith(codecs.BOM_UTF8):
        raise ValueError("begins with a byte order mark, which nnU-Net cannot read; save it without")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start}: {error.reason}); save it so") from error


def _unmarked(content: bytes) -> str:
    """Return the encoding of text without a mark: in UTF-16, every other byte of Latin letters is zero."""
    start = content[:64]
    if len(start) >= 4 and not any(start[1::2]) and all(start[0::2]):
        return "utf-16-le"
    if len(start) >= 4 and not any(start[0::2]) and all(start[1::2]):
        return "utf-16-be"
    return "utf-8"
