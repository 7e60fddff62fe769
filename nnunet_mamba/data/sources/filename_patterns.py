"""Find images and masks by a pattern of their names, such as ``{group}/{case}_{channel}.nii.gz``."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.folder_walk import files_below, lost_folders

PLACEHOLDERS = ("case", "group", "channel")
MASK_PLACEHOLDERS = ("case", "group", "label")
# Other formats of images, some of which can be read.
# fmt: off
OTHER_IMAGE_ENDINGS = (
    ".gif", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".tga", ".psd",
    ".svs", ".ndpi", ".dng", ".cr2", ".nef", ".arw", ".dcm", ".dicom", ".ima", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgh",
    ".mgz", ".mnc", ".hdr",
)
# fmt: on

_TOKENS = re.compile(r"(\{[^{}]*\}|\*\*/|\*)")


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file whose name fits a pattern.

    Args:
        path: of the file.
        case: what stands for ``{case}``.
        group: what stands for ``{group}``, None if the pattern has none.
        channel: what stands for ``{channel}``, None if the pattern has none.
        label: what stands for ``{label}``, None if the pattern has none.
    """

    path: Path
    case: str
    group: str | None = None
    channel: str | None = None
    label: str | None = None


class FilenamePattern:
    """A pattern of paths below a folder.

    ``{case}``, ``{group}``, ``{channel}`` and ``{label}`` stand for one or more characters of one name. Each stands for
    the same text wherever it is repeated, and the first takes as many characters as it can. ``*`` stands for any
    characters of one name, ``**/`` for any folders or none. Letter case is ignored. A pattern without a file ending
    fits every ending that can be read.

    Args:
        text: with ``/`` between folders.
        placeholders: which may occur: PLACEHOLDERS of images, MASK_PLACEHOLDERS of masks.

    Raises:
        ValueError: ``{case}`` is missing, another placeholder, a lone brace, or a path that leads out of the folder.
    """

    def __init__(self, text: str, *, placeholders: Sequence[str] = PLACEHOLDERS) -> None:
        self.text = text
        text = unicodedata.normalize("NFC", text)
        parts: list[str] = []
        found: list[str] = []
        for token in _TOKENS.split(text):
            if token.startswith("{") and token.endswith("}"):
                parts.append(self._placeholder(token[1:-1], found, placeholders))
            elif token in ("**/", "*"):
                parts.append("(?:[^/]+/)*" if token == "**/" else "[^/]*")
            elif "{" in token or "}" in token:
                raise ValueError(f"pattern {self.text!r}: a brace without its partner; expected such as '{{case}}.png'")
            else:
                parts.append(re.escape(token))
        if "case" not in found:
            raise ValueError(f"pattern {self.text!r}: expected {{case}} in it, such as '{{case}}.png'")
        if text.startswith("/") or ".." in text.split("/"):
            raise ValueError(f"pattern {self.text!r}: expected a path below the folder, such as 'masks/{{case}}.png'")
        endings = (*VOLUME_ENDINGS, *PICTURE_ENDINGS)
        self.placeholders = tuple(found)
        expression = "".join(parts)
        any_ending = "" if text.lower().endswith(endings) else f"(?:{'|'.join(map(re.escape, endings))})"
        self._expression = re.compile(expression + any_ending, re.IGNORECASE)
        # The ending of a format that cannot be read may stand in the pattern, too.
        self._but_for_ending = re.compile(rf"{expression}(?:\.[^/.]+)?", re.IGNORECASE)
        self.depth = None if "**/" in text else text.count("/")

    def _placeholder(self, name: str, found: list[str], allowed: Sequence[str]) -> str:
        if name not in allowed:
            expected = ", ".join(f"{{{placeholder}}}" for placeholder in allowed)
            raise ValueError(f"pattern {self.text!r}: {{{name}}} is not known here; expected {expected}")
        if name in found:
            return f"(?P={name})"
        found.append(name)
        return f"(?P<{name}>[^/]+)"

    def find(self, folder: Path) -> list[FoundFile]:
        """Return the files below ``folder`` that fit, sorted, without hidden ones. Links to folders are followed.

        Args:
            folder: where the pattern starts.

        Raises:
            NotADirectoryError: ``folder`` is not a folder.
            PermissionError: a folder cannot be read.
        """
        found = []
        for path in files_below(folder, depth=self.depth):
            if match := self._expression.fullmatch(_name_below(path, folder)):
                found.append(FoundFile(path=path, **match.groupdict()))
        return found

    def lost(self, folder: Path) -> list[Problem]:
        """Return a problem for every broken link that may have led to a folder with files that fit.

        Args:
            folder: where the pattern starts.
        """
        return lost_folders(folder, depth=self.depth)

    def unreadable(self, folder: Path) -> list[Path]:
        """Return the files that would fit if their ending could be read.

        Args:
            folder: where the pattern starts.
        """
        return [
            path
            for path in files_below(folder, depth=self.depth)
            if path.suffix
            and not path.name.lower().endswith((*VOLUME_ENDINGS, *PICTURE_ENDINGS))
            and self._but_for_ending.fullmatch(_name_below(path, folder))
        ]


def unread_images(paths: Sequence[Path], kind: str, read: Sequence[Path]) -> list[Problem]:
    """Return a problem for every image in a format that cannot be read, unless one that can be read lies beside it.

    Args:
        paths: files that would be images or masks if their ending could be read.
        kind: what they would be.
        read: files that are read.
    """
    known = {path.with_suffix("") for path in read}
    readable = ", ".join((*PICTURE_ENDINGS, *VOLUME_ENDINGS))
    return [
        Problem(
            path.name,
            f"{path.suffix.lower()} files cannot be read, so this {kind} would be missing; save it as one of "
            f"{readable}, or move it away",
            path,
        )
        for path in paths
        if path.suffix.lower() in OTHER_IMAGE_ENDINGS and path.with_suffix("") not in known
    ]


def _name_below(path: Path, folder: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
