"""Find the parts of a skin lesion challenge in a folder, by the names that ISIC gives its folders and archives."""

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.sources.folder_walk import is_broken_link, lost_folder, visible_entries

TRAINING, VALIDATION, TEST = "training", "validation", "test"
# What a mask's name has after that of its photograph, in small letters.
MASK_SUFFIX = "_segmentation"
# How the names of other pictures beside photographs end: ISIC 2017 puts over-segmentations there.
OTHER_SUFFIXES = ("_superpixels",)
_ROLE_WORDS = {
    "training": TRAINING,
    "train": TRAINING,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "test": TEST,
}
_IMAGE_FOLDERS = ("images", "image")
MASK_FOLDERS = ("masks", "mask", "groundtruth", "ground_truth")
# Part 1 of 2016 and 2017 and Task 1 of 2018 are lesion segmentation; other parts hold other images and ground truth.
_OTHER_TASKS = re.compile(r"part[^1]|part1\d|task[^1]|task1\d")
_YEAR = re.compile(r"20\d\d")
# Unpacking programs make a folder of the archive's name around the folder in it.
_DEEPEST_WRAPPER = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a challenge.

    Args:
        role: TRAINING, VALIDATION or TEST.
        year: of the challenge, "" if the names do not tell it.
        images: folder or zip archive of the photographs.
        masks: folder or zip archive of their masks, None if there is none.
    """

    role: str
    year: str
    images: Path
    masks: Path | None


def unwrapped(folder: Path) -> Path:
    """Return the folder inside of wrappers, which are folders that hold one folder and nothing else.

    Args:
        folder: of images, or of folders of images; anything else is returned as it is.
    """
    for _ in range(_DEEPEST_WRAPPER):
        if not folder.is_dir():
            return folder
        entries = [path for path in visible_entries(folder) if path.name != "__MACOSX"]
        if len(entries) != 1 or not entries[0].is_dir():
            return folder
        folder = entries[0]
    return folder


def find_parts(folder: Path) -> list[Part]:
    """Return the parts in a folder, those with masks first, in the order training, validation, test.

    Args:
        folder: that holds folders or archives of images and of masks.

    Raises:
        ValueError: two folders of one kind for one part, or a link that leads nowhere.
        NotADirectoryError: ``folder`` is not a folder.
    """
    images: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    masks: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in _candidates(folder):
        name = path.name.lower().removesuffix(".zip")
        if _OTHER_TASKS.search(name):
            continue
        if name in _IMAGE_FOLDERS or name.endswith(("_data", "_input")):
            images[_part_of(name)].append(path)
        elif name in MASK_FOLDERS or name.endswith("groundtruth"):
            masks[_part_of(name)].append(path)
    for kind, found in (("images", images), ("masks", masks)):
        for (year, role), paths in found.items():
            if len(paths) > 1:
                listed = ", ".join(str(path) for path in paths)
                raise ValueError(
                    f"{len(paths)} places of {kind} for the {role} part{_of_year(year)}: {listed}; move one of them "
                    "away, or give the folders by name"
                )
    for key in sorted(masks.keys() - images.keys()):
        _log.info("%s is not used: the images of the %s part%s are not there", masks[key][0], key[1], _of_year(key[0]))
    parts = [
        Part(role=role, year=year, images=paths[0], masks=next(iter(masks.get((year, role), ())), None))
        for (year, role), paths in images.items()
    ]
    order = (TRAINING, VALIDATION, TEST)
    return sorted(parts, key=lambda part: (part.masks is None, part.year, order.index(part.role)))


def _candidates(folder: Path) -> list[Path]:
    """Return the folders and archives in a folder; an archive that lies beside its own folder is left out."""
    found = []
    for path in visible_entries(folder):
        if is_broken_link(path) and not path.suffix:
            raise ValueError(f"{path} is {lost_folder(path, below=folder).text}")
        if path.is_dir() or path.suffix.lower() == ".zip":
            found.append(path)
    folders = {path.name.lower() for path in found if path.is_dir()}
    return [path for path in found if path.is_dir() or path.stem.lower() not in folders]


def _part_of(folder_name: str) -> tuple[str, str]:
    """Return year and role of a challenge's part."""
    year = _YEAR.search(folder_name)
    words = re.split(r"[_ -]", folder_name)
    role = next((_ROLE_WORDS[word] for word in words if word in _ROLE_WORDS), TRAINING)
    return year[0] if year else "", role


def _of_year(year: str) -> str:
    return f" of {year}" if year else ""


def one_challenge(parts: Sequence[Part], folder: Path) -> dict[str, Part]:
    """Return the parts of the only challenge in a folder by their role.

    Parts without masks are left out, but for a test part, whose images can be predicted.

    Args:
        parts: what ``find_parts`` returned.
        folder: where they are.

    Returns:
        At least the training part. A single part is the training part, whatever it is called.

    Raises:
        ValueError: several challenges, no training part, or one without masks.
    """
    with_masks = [part for part in parts if part.masks is not None]
    if len({part.year for part in with_masks}) > 1:
        listed = "\n".join(f"  {part.images} {part.masks}" for part in with_masks)
        raise ValueError(
            f"{folder} holds several challenges, expected one: give the images and the masks of the training part by "
            f"name, and other parts with `validation_images`, `validation_masks`, `test_images` and `test_masks`:\n"
            f"{listed}"
        )
    roles = {part.role: part for part in parts if not with_masks or part.year == with_masks[0].year}
    if len(with_masks) == 1 and TRAINING not in roles:
        return {TRAINING: with_masks[0]}
    training = roles.get(TRAINING)
    if training is None or training.masks is None:
        found = ", ".join(str(part.images) for part in parts)
        lack = "no training part" if training is None else f"no masks for the training part {training.images}"
        raise ValueError(
            f"{lack} in {folder}, there is {found}; unpack the images and the ground truth of lesion segmentation side "
            "by side, or give both folders by name"
        )
    validation = roles.get(VALIDATION)
    if validation is not None and validation.masks is None:
        _log.info("%s is left out: no masks of the validation part lie beside it", roles.pop(VALIDATION).images)
    if TEST in roles and roles[TEST].masks is None:
        _log.info("%s has no masks beside it: its images become test cases without labels", roles[TEST].images)
    return roles


def log_parts(parts: Mapping[str, Part]) -> None:
    """Say which folder was taken for what.

    Args:
        parts: by role.
    """
    meaning = {TRAINING: "training cases", VALIDATION: "training cases too", TEST: "test cases"}
    for role, part in parts.items():
        _log.info("%s: %s and %s", meaning[role], part.images.name, part.masks.name if part.masks else "no masks")
