"""The size to which pictures are resized, as text."""

import re

from nnunet_mamba.data.formats.image_files import Shape

LARGEST_SIDE = 16384  # pixels
ORIGINAL = "original"


def parse_size(text: str) -> Shape | None:
    """Read a size as the command line gives it.

    Args:
        text: "original", a side in pixels ("256") or height x width ("192x256").

    Returns:
        (y, x), or None for the original size.

    Raises:
        ValueError: anything else.
    """
    if text.lower() == ORIGINAL:
        return None
    match = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text.lower())
    if match:
        height, width = int(match[1]), int(match[2] or match[1])
        if min(height, width) >= 1 and max(height, width) <= LARGEST_SIDE:
            return height, width
    raise ValueError(
        f"size {text!r}: expected 'original', a side such as 256, or HEIGHTxWIDTH such as 192x256 "
        f"(1 to {LARGEST_SIDE} pixels)"
    )


def size_text(size: Shape | None) -> str:
    """Return a size as ``parse_size`` reads it.

    Args:
        size: (y, x), or None for the original size.
    """
    return ORIGINAL if size is None else f"{size[0]}x{size[1]}"
