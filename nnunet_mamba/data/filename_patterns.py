"""Find images and masks by a pattern of their names, such as ``{group}/{case}_{channel}.nii.gz``."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data import file_endings
from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.checks import Problem, same_name
from nnunet_mamba.data.image_files import IMAGE_ENDINGS

VOLUME_ENDINGS = file_endings.VOLUME_ENDINGS
PLACEHOLDERS = ("case", "group", "channel")

_TOKENS = re.compile(r"(\{[^{}]*\}|\*\*/|\*)")


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file whose name fits a pattern.

    Args:
        path: of the file.
        case: what stands for ``{case}``.
        group: what stands for ``{group}``, None if the pattern has none.
        channel: what stands for ``{channel}``, None if the pattern has none.
    """

    path: Path
    case: str
    group: str | None = None
    channel: str | None = None


class FilenamePattern:
    """A pattern of paths below a folder.

    ``{case}``, ``{group}`` and ``{channel}`` stand for one or more characters of one name, each for the same wherever
    it is repeated; the first takes as many as it can. ``*`` stands for any characters of one name, ``**/`` for any
    folders or none. Case of letters is ignored. A pattern without a file ending fits every ending that can be read.

    Args:
        text: with ``/`` between folders.
        placeholders: which of PLACEHOLDERS may occur.

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
        endings = (*VOLUME_ENDINGS, *IMAGE_ENDINGS)
        if not text.lower().endswith(endings):
            parts.append(f"(?:{'|'.join(map(re.escape, endings))})")
        self.placeholders = tuple(found)
        self._expression = re.compile("".join(parts), re.IGNORECASE)
        self._depth = None if "**/" in text else text.count("/")

    def _placeholder(self, name: str, found: list[str], allowed: Sequence[str]) -> str:
        if name not in allowed:
            expected = ", ".join(f"{{{placeholder}}}" for placeholder in allowed)
            raise ValueError(f"pattern {self.text!r}: {{{name}}} is not known here; expected {expected}")
        if name in found:
            return f"(?P={name})"
        found.append(name)
        return f"(?P<{name}>[^/]+)"

    def find(self, folder: Path) -> list[FoundFile]:
        """Return the files below ``folder`` that fit, sorted, without hidden ones (macOS writes ``._name.jpg``).

        Args:
            folder: links to other folders are not followed.

        Raises:
            NotADirectoryError: ``folder`` is not a folder.
        """
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder; expected one that holds images")
        found = []
        for path in _files_below(folder, self._depth):
            name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
            if match := self._expression.fullmatch(name):
                found.append(FoundFile(path=path, **match.groupdict()))
        return found


def without_masks(images: Sequence[FoundFile], masks: Sequence[FoundFile]) -> list[FoundFile]:
    """Return the images that are no masks: both patterns may fit a name.

    Args:
        images: image files.
        masks: mask files.
    """
    # A folder is resolved once, not for each of ten thousand files.
    folders = {folder: folder.resolve() for folder in {found.path.parent for found in (*images, *masks)}}
    mask_paths = {folders[found.path.parent] / found.path.name for found in masks}
    return [found for found in images if folders[found.path.parent] / found.path.name not in mask_paths]


def pair_found_files(
    images: Sequence[FoundFile],
    masks: Sequence[FoundFile],
    *,
    channels: Sequence[str] | None,
    is_training: bool,
    allow_missing_masks: bool = False,
    allow_missing_images: bool = False,
) -> tuple[list[Case], list[Problem]]:
    """Make one case of all channels of an image and its mask.

    The identifier is the case's name, after that of its group if images and masks both tell it. A file that is a
    mask is no image, even if its name fits the pattern of images.

    Args:
        images: image files.
        masks: mask files.
        channels: what stands for ``{channel}``, in order; None where an image is one file.
        is_training: where cases with a mask go.
        allow_missing_masks: make test cases of images without a mask instead of reporting them.
        allow_missing_images: leave out masks without an image instead of reporting them.

    Returns:
        The cases, and what is wrong with the names. Images without a mask, where that is a problem, are test
        cases too, so that their files can still be checked.
    """
    images = without_masks(images, masks)
    is_grouped = all(found.group is not None for found in (*images, *masks))
    images_of = _by_identifier(images, is_grouped=is_grouped)
    masks_of = _by_identifier(masks, is_grouped=is_grouped)
    cases: list[Case] = []
    problems: list[Problem] = []
    for key, files in images_of.items():
        identifier = _identifier(files[0], is_grouped=is_grouped)
        chosen, text = _channels_in_order(files, channels)
        if text:
            problems.append(Problem(identifier, text))
        if not chosen:
            continue
        label = masks_of[key][0].path if key in masks_of else None
        if label is None and masks and not allow_missing_masks:
            text = "no mask for this image; add it, or send images without masks to imagesTs with --allow-missing-masks"
            problems.append(Problem(identifier, text, chosen[0]))
        cases.append(
            Case(
                identifier=identifier,
                channels=tuple(chosen),
                label=label,
                is_training=is_training and label is not None,
                group=files[0].group,
            )
        )
    problems += _mask_problems(masks_of, images_of, is_grouped=is_grouped, allow_missing_images=allow_missing_images)
    return cases, problems


def _mask_problems(
    masks_of: Mapping[str, Sequence[FoundFile]],
    images_of: Mapping[str, Sequence[FoundFile]],
    *,
    is_grouped: bool,
    allow_missing_images: bool,
) -> list[Problem]:
    """Return the masks that share a case, and those without an image unless they may be left out."""
    # The case is called as its image is, which may be written otherwise.
    problems = [
        Problem(_identifier(images_of.get(key, files)[0], is_grouped=is_grouped), _several("masks", files))
        for key, files in masks_of.items()
        if len(files) > 1
    ]
    if not allow_missing_images:
        text = "no image for this mask; add it, or leave such masks out with --allow-missing-images"
        problems += [
            Problem(_identifier(files[0], is_grouped=is_grouped), text, files[0].path)
            for key, files in masks_of.items()
            if key not in images_of
        ]
    return problems


def _identifier(found: FoundFile, *, is_grouped: bool) -> str:
    return f"{found.group}_{found.case}" if is_grouped else found.case


def _by_identifier(files: Sequence[FoundFile], *, is_grouped: bool) -> dict[str, list[FoundFile]]:
    indexed: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for found in files:
        indexed[same_name(_identifier(found, is_grouped=is_grouped))].append(found)
    return dict(indexed)


def _channels_in_order(files: Sequence[FoundFile], channels: Sequence[str] | None) -> tuple[list[Path], str]:
    """Return the files of a case's channels, and what is wrong with them ("" if nothing is)."""
    if channels is None:
        return [files[0].path], _several("images", files) if len(files) > 1 else ""
    of_channel: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for found in files:
        of_channel[same_name(found.channel or "")].append(found)
    keys = [same_name(channel) for channel in channels]
    if missing := [channel for channel, key in zip(channels, keys, strict=True) if key not in of_channel]:
        there = ", ".join(sorted(found.path.name for found in files))
        return [], f"channel {', '.join(missing)} is missing, there is {there}; add it, or choose --channel-names"
    repeated = [of_channel[key] for key in keys if len(of_channel[key]) > 1]
    return [of_channel[key][0].path for key in keys], _several("images", repeated[0]) if repeated else ""


def _several(kind: str, files: Sequence[FoundFile]) -> str:
    listed = ", ".join(str(found.path) for found in files)
    return (
        f"{len(files)} {kind} for one case, expected one: {listed}; narrow the pattern, or tell them apart by {{group}}"
    )


def _files_below(folder: Path, depth: int | None) -> Iterator[Path]:
    """Yield all files down to ``depth`` folders below, sorted; None means all of them."""
    for place, subfolders, names in os.walk(folder, onerror=_raise):
        level = len(Path(place).relative_to(folder).parts)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and level != depth)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place, name)


def _raise(error: OSError) -> None:
    """Stop at a folder that cannot be read: its cases would be missing without a word."""
    raise error
