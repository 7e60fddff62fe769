"""Take the original of a picture that lies there in several formats: published sets hold JPEG copies of their files."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from nnunet_mamba.data.formats.file_endings import VOLUME_ENDINGS
from nnunet_mamba.data.formats.image_files import ImageFileError, opened_image
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.data.sources.filename_patterns import FoundFile

LOSSLESS_ENDINGS = (".png", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
COPY_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".gif")
# A copy has the size of its original. Compression moves the mean over a cell of this grid by a few grey levels.
_CELLS = 32
_LARGEST_DIFFERENCE = 16  # of 255, mean over all cells

_log = logging.getLogger(__name__)


def without_copies(files: Sequence[FoundFile], kind: str) -> list[FoundFile]:
    """Return the files without those that are a copy of a file beside them, of the same name but for the ending.

    A lossless file wins over a lossy one. Of several equal lossless files, the first stays. Files that differ are no
    copies, so all of them stay, and pairing reports them.

    Args:
        files: images, or masks.
        kind: what they are, for the note in the log.
    """
    alike: defaultdict[tuple[Path, str], list[FoundFile]] = defaultdict(list)
    for found in files:
        alike[found.path.parent, same_name(stem_of(found.path))].append(found)
    left_out: Counter[tuple[str, str]] = Counter()
    kept = []
    for group in alike.values():
        original = _original(group) if len(group) > 1 else None
        kept += group if original is None else [original]
        if original is not None:
            left_out.update((_ending(other.path), _ending(original.path)) for other in group if other is not original)
    for (copied, taken), count in sorted(left_out.items()):
        noun = f"{kind} is a copy" if count == 1 else f"{kind}s are copies"
        _log.info("%d %s %s of a %s file of the same name, which is taken", count, copied, noun, taken)
    return kept


def stem_of(path: Path) -> str:
    """Return a file's name without its ending, such as ".png" or ".nii.gz".

    Args:
        path: a picture or a volume.
    """
    ending = _ending(path)
    return path.name[: -len(ending)] if ending else path.name


def _ending(path: Path) -> str:
    name = path.name.lower()
    if not name.endswith(VOLUME_ENDINGS):
        return path.suffix.lower()
    return next(ending for ending in VOLUME_ENDINGS if name.endswith(ending))


def _original(group: Sequence[FoundFile]) -> FoundFile | None:
    """Return the file that all others are copies of, None if there is none."""
    endings = {_ending(found.path) for found in group}
    # Names that differ only in letter case are no deliberate copies, and WebP may be lossy or lossless.
    if len(endings) < len(group) or not endings <= {*LOSSLESS_ENDINGS, *COPY_ENDINGS}:
        return None
    lossless = [found for found in group if _ending(found.path) in LOSSLESS_ENDINGS]
    if not lossless:
        return None
    original, *equals = lossless
    try:
        if not all(_are_equal(original.path, other.path) for other in equals):
            return None
        copies = [found for found in group if found not in lossless]
        return original if all(_are_alike(original.path, copy.path) for copy in copies) else None
    except ImageFileError:
        # All stay: the checks say what is wrong with a file, but not which of them is meant.
        return None


def _are_equal(one: Path, other: Path) -> bool:
    """Return whether two lossless files hold the same picture."""
    pixels = []
    for path in (one, other):
        with opened_image(path) as image:
            pixels.append(np.asarray(image.convert("RGB")))
    return np.array_equal(pixels[0], pixels[1])


def _are_alike(original: Path, copy: Path) -> bool:
    """Return whether a lossy file looks like its original."""
    cells = []
    sizes = []
    for path in (original, copy):
        with opened_image(path) as image:
            sizes.append(image.size)
            shape = (min(_CELLS, image.width), min(_CELLS, image.height))
            small = image.convert("RGB").resize(shape, Image.Resampling.BOX)
            cells.append(np.asarray(small, dtype=np.float64))
    return sizes[0] == sizes[1] and float(np.abs(cells[0] - cells[1]).mean()) <= _LARGEST_DIFFERENCE
