"""Where somebody's images and masks are: folders, and patterns of the names in them."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.filename_patterns import (
    MASK_PLACEHOLDERS,
    FilenamePattern,
    FoundFile,
    unread_images,
)
from nnunet_mamba.data.sources.folder_walk import files_below, visible_entries
from nnunet_mamba.data.sources.several_masks import MaskRules, are_of_several_cases, listed

SHOWN_NAMES = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the images and masks are.

    Args:
        images: folder that the pattern of images starts from.
        masks: folder that the pattern of masks starts from; None means ``images``.
        image_pattern: see FilenamePattern; None takes every picture or volume directly in ``images``, or in its
            subfolder "images" if no pattern and no other folder of masks is given.
        mask_pattern: the same for masks; ``{case}`` must stand for the same as in ``image_pattern``.
        has_masks: whether to look for masks; without them, pictures lie directly in ``images``.
    """

    images: Path
    masks: Path | None = None
    image_pattern: str | None = None
    mask_pattern: str | None = None
    has_masks: bool = True

    def for_test(self, images: Path, masks: Path | None) -> "Source":
        """Return where test images and their masks lie, if there are any: arranged as these are."""
        has_pattern = self.image_pattern is not None or self.mask_pattern is not None
        if self._is_apart and masks is None and not has_pattern and not (images / "images").is_dir():
            return replace(self, images=images, masks=None, has_masks=False)
        return replace(self, images=images, masks=masks)

    def find_images(self) -> list[FoundFile]:
        """Return the image files, and the masks among them if their names fit too."""
        return self._patterns()[0].find(self.images)

    def some_images(self) -> list[FoundFile]:
        """Return the image files.

        Raises:
            ValueError: there are none.
        """
        found = self.find_images()
        if not found:
            raise ValueError(_nothing_fits(self._patterns()[0], self.images, "image"))
        return found

    def find_masks(self) -> list[FoundFile]:
        """Return the mask files."""
        if not self.has_masks:
            return []
        image_pattern, mask_pattern = self._patterns()
        if not self._is_apart and mask_pattern.text == image_pattern.text:
            raise ValueError(
                f"images and masks are both {mask_pattern.text!r} in {self.images}; give `mask_pattern` or `masks`"
            )
        return mask_pattern.find(self._mask_folder)

    def some_masks(self) -> list[FoundFile]:
        """Return the mask files.

        Raises:
            ValueError: there are none.
        """
        found = self.find_masks()
        if not found:
            raise ValueError(_nothing_fits(self._patterns()[1], self._mask_folder, "mask"))
        return found

    def unfound(self, cases: Sequence[Case] = ()) -> list[Problem]:
        """Return problems of what may hold images or masks but cannot be read: broken links and other formats.

        Args:
            cases: that were found; the note about files that fit nothing leaves out their masks.
        """
        image_pattern, mask_pattern = self._patterns()
        images, masks = self.find_images(), self.find_masks()
        problems = [*image_pattern.lost(self.images), *(mask_pattern.lost(self._mask_folder) if self.has_masks else [])]
        unread = image_pattern.unreadable(self.images)
        unread_masks = mask_pattern.unreadable(self._mask_folder) if self.has_masks else []
        read = [found.path for found in (*images, *masks)]
        problems += unread_images([path for path in unread if path not in set(unread_masks)], "image", read)
        problems += unread_images(unread_masks, "mask", read)
        self._log_what_fits_nothing([*read, *(path for case in cases for path in case.masks)])
        return list(dict.fromkeys(problems))

    def _log_what_fits_nothing(self, read: Sequence[Path]) -> None:
        """Log how many pictures and volumes fit no pattern."""
        image_pattern, mask_pattern = self._patterns()
        places = [(self.images, image_pattern)] + [(self._mask_folder, mask_pattern)] * self.has_masks
        there = {path.resolve() for path in read}
        others: dict[Path, Path] = {}
        for folder, pattern in places:
            # One folder deeper, where a pattern for that depth would have found them.
            depth = None if pattern.depth is None else pattern.depth + 1
            for path in files_below(folder, depth=depth):
                if path.name.lower().endswith((*PICTURE_ENDINGS, *VOLUME_ENDINGS)) and path.resolve() not in there:
                    others.setdefault(path.resolve(), path)
        if others:
            first = min(others.values())
            _log.info("%d pictures or volumes fit no pattern and are not taken, such as %s", len(others), first)

    @property
    def _mask_folder(self) -> Path:
        return self.masks or self.images

    @property
    def has_channels(self) -> bool:
        """Whether an image is spread over files, one for each channel."""
        return "channel" in self._patterns()[0].placeholders

    @property
    def has_labels(self) -> bool:
        """Whether every label of an image has a mask of its own, whose name tells the label."""
        return "label" in self._patterns()[1].placeholders

    @property
    def has_groups(self) -> bool:
        """Whether the names of images or masks tell the group."""
        return any("group" in pattern.placeholders for pattern in self._patterns())

    @property
    def _is_apart(self) -> bool:
        return self.masks is not None and self.masks.resolve() != self.images.resolve()

    def _patterns(self) -> tuple[FilenamePattern, FilenamePattern]:
        """Return the patterns of images and of masks; an error in either comes before any file is looked for."""
        has_pattern = self.image_pattern is not None or self.mask_pattern is not None
        is_flat = self._is_apart or has_pattern or not self.has_masks
        image_text, mask_text = self.image_pattern, self.mask_pattern
        if image_text is None:
            image_text = "{case}" if is_flat else "images/{case}"
        if mask_text is None:
            mask_text = "{case}" if self._is_apart else "masks/{case}"
        return FilenamePattern(image_text), FilenamePattern(mask_text, placeholders=MASK_PLACEHOLDERS)


class PatternMaskRules(MaskRules):
    """The rules of a conversion whose user gives patterns of names and may join masks."""

    def several_images(self, files: Sequence[FoundFile], *, is_grouped: bool) -> str:
        """Return what is wrong with several images of one case."""
        way_out = "rename them" if is_grouped else "narrow the pattern, or tell them apart by {group}"
        return listed("images", files, way_out)

    def several_masks(self, files: Sequence[FoundFile]) -> str:
        """Return what is wrong with several masks of one case."""
        way_out = "train with all of them as one label with `join_masks=True`, the later one counts where they overlap"
        return listed("masks", files, "rename them" if are_of_several_cases(files) else way_out)

    def missing_labels(self, labels: Sequence[str]) -> str:
        """Return what is wrong with an image that lacks masks of some labels."""
        way_out = "say with `allow_missing_labels=True` that an image without a mask of a label does not have it"
        return f"{super().missing_labels(labels)}, or {way_out}"

    def missing_channels(self, channels: Sequence[str], there: Sequence[str]) -> str:
        """Return what is wrong with an image that lacks files of some channels."""
        return f"{super().missing_channels(channels, there)}, or choose `channel_names`"

    def way_to_use_twins(self) -> str:
        """Return what can be done with masks that are not used."""
        return "`join_masks=True` makes one label of all of them; move away what is no mask of this image"


def _nothing_fits(pattern: FilenamePattern, folder: Path, kind: str) -> str:
    """Return the text of a pattern that fits no file; it says so if only the endings are at fault."""
    if lost := pattern.lost(folder):
        return f"no {kind} in {folder}: {lost[0].identifier} is {lost[0].text}"
    if unreadable := pattern.unreadable(folder):
        endings = Counter(path.suffix.lower() for path in unreadable).most_common()
        listed = ", ".join(f"{count} {ending}" for ending, count in endings[:SHOWN_NAMES])
        readable = ", ".join((*PICTURE_ENDINGS, *VOLUME_ENDINGS))
        return (
            f"no {kind} in {folder} can be read: the pattern {pattern.text!r} fits {unreadable[0].name}, but files of "
            f"this ending cannot be read ({listed}); save them as one of {readable}"
        )
    there = [path.name for path in visible_entries(folder)][:SHOWN_NAMES]
    return (
        f"no file in {folder} fits the pattern of the {kind}s; there is "
        f"{', '.join(there) or 'nothing'}; give `{kind}_pattern`, such as '{{case}}.png', '**/{{case}}.png' for any "
        f"depth, or `{kind}s`"
    )
