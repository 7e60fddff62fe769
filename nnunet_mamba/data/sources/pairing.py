"""Find the images and masks in folders and pair them by name."""

import logging
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.copies import stem_of, without_copies
from nnunet_mamba.data.sources.filename_patterns import FoundFile
from nnunet_mamba.data.sources.folder_walk import files_below, visible_entries
from nnunet_mamba.data.sources.several_masks import (
    MaskRules,
    chosen_masks,
    named_after_masks,
    numbered_twins,
    twin_problems,
)

NO_MASK = "no mask for this image; add it, or send images without masks to imagesTs with `allow_missing_masks=True`"
NO_IMAGE = "no image for this mask; add it, or leave such masks out with `allow_missing_images=True`"

_log = logging.getLogger(__name__)


def list_images(folder: Path, *, ignored_suffixes: Sequence[str] = ()) -> list[Path]:
    """Return the image files directly in ``folder``, sorted, without hidden ones (macOS writes ``._name.jpg``).

    Args:
        folder: without its subfolders, since archives that hold a tree twice would give every case twice.
        ignored_suffixes: names that end so, before the file ending, are left out; in lower case.

    Raises:
        NotADirectoryError: ``folder`` is not a folder.
        PermissionError: it cannot be read.
    """
    entries = visible_entries(folder)
    deeper = [path for entry in entries if entry.is_dir() for path in files_below(entry, depth=0) if _is_image(path)]
    found = [
        path
        for path in entries
        if _is_image(path) and not path.is_dir() and not path.stem.lower().endswith(tuple(ignored_suffixes) or ("\0",))
    ]
    if found and deeper:
        _log.info("%d images in subfolders of %s are not taken, such as %s", len(deeper), folder, deeper[0])
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_ENDINGS


def identifier_of(path: Path, *, suffix: str = "") -> str:
    """Return the identifier in a file's name.

    Args:
        path: an image or mask.
        suffix: end of the name that is no part of the identifier, before the file ending, in any case.
    """
    stem = unicodedata.normalize("NFC", path.stem)
    return stem[: -len(suffix)] if suffix and stem.lower().endswith(suffix) and len(stem) > len(suffix) else stem


def pair_images_with_masks(
    images: Sequence[Path],
    masks: Sequence[Path],
    *,
    mask_suffix: str,
    is_training: bool,
    allow_missing_masks: bool = False,
    allow_missing_images: bool = False,
) -> tuple[list[Case], list[Problem]]:
    """Make one case of every image and its mask.

    Args:
        images: image files; the identifier is the name without its ending.
        masks: mask files, named after the image, with ``mask_suffix`` or without.
        mask_suffix: in lower case; any case is accepted.
        is_training: where cases with a mask go.
        allow_missing_masks: make test cases of images without a mask instead of reporting them.
        allow_missing_images: leave out masks without an image instead of reporting them.

    Returns:
        See ``pair_found_files``.
    """
    return pair_found_files(
        [FoundFile(path=path, case=identifier_of(path)) for path in images],
        [FoundFile(path=path, case=identifier_of(path, suffix=mask_suffix)) for path in masks],
        channels=None,
        is_training=is_training,
        allow_missing_masks=allow_missing_masks,
        allow_missing_images=allow_missing_images,
    )


def without_masks(images: Sequence[FoundFile], masks: Sequence[FoundFile]) -> list[FoundFile]:
    """Return the images without the masks among them: a name may fit both patterns.

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
    rules: MaskRules | None = None,
) -> tuple[list[Case], list[Problem]]:
    """Make one case of all channels of an image and its masks.

    The identifier is the case's name, with its group's name first if images and masks both tell the group. A mask is
    never an image, even if its name fits the pattern of images. Copies in other formats are left out.

    Args:
        images: image files.
        masks: mask files.
        channels: what stands for ``{channel}``, in order; None where an image is one file.
        is_training: where cases with a mask go.
        allow_missing_masks: make test cases of images without a mask instead of reporting them.
        allow_missing_images: leave out masks without an image instead of reporting them.
        rules: how several masks of an image become one label; None takes one mask for an image.

    Returns:
        The cases, and what is wrong with the names. An image whose mask is missing becomes a test case even where
        that is a problem, so that its file is checked too.
    """
    rules = rules or MaskRules()
    images = without_copies(without_masks(images, masks), "image")
    masks = without_copies(masks, "mask")
    is_grouped = all(found.group is not None for found in (*images, *masks))
    masks_of = _by_identifier(masks, is_grouped=is_grouped)
    images, twins = _with_twins(images, masks_of, rules, is_grouped=is_grouped, are_masks_left_out=allow_missing_images)
    images_of = _by_identifier(images, is_grouped=is_grouped)
    cases: list[Case] = []
    problems = twin_problems(twins, rules)
    for key, files in images_of.items():
        case, found = _case_of(
            files,
            masks_of.get(key, ()),
            rules,
            channels=channels,
            is_training=is_training,
            is_grouped=is_grouped,
            needs_mask=bool(masks) and not allow_missing_masks,
        )
        cases += [] if case is None else [case]
        problems += found
    if masks and allow_missing_masks:
        _log_unlabelled(cases)
    orphans = [files for key, files in masks_of.items() if key not in images_of]
    problems += _without_image(orphans, rules, is_grouped=is_grouped, is_allowed=allow_missing_images)
    return cases, problems


def _case_of(
    images: Sequence[FoundFile],
    masks: Sequence[FoundFile],
    rules: MaskRules,
    *,
    channels: Sequence[str] | None,
    is_training: bool,
    is_grouped: bool,
    needs_mask: bool,
) -> tuple[Case | None, list[Problem]]:
    """Return the case of one identifier's files, None if a channel is missing, and what is wrong with them."""
    identifier = _identifier(images[0], is_grouped=is_grouped)
    image_files, text = _channels_in_order(images, channels, rules, is_grouped=is_grouped)
    problems = [Problem(identifier, text)] if text else []
    chosen = chosen_masks(masks, rules)
    if masks and chosen.problem:
        problems.append(Problem(identifier, chosen.problem))
    if not image_files:
        return None, problems
    if needs_mask and not masks:
        problems.append(Problem(identifier, NO_MASK, image_files[0]))
    case = Case(
        identifier=identifier,
        channels=tuple(image_files),
        mask=chosen.files[0] if chosen.files else None,
        other_masks=chosen.files[1:],
        mask_numbers=chosen.numbers,
        must_be_disjoint=chosen.must_be_disjoint,
        is_training=is_training and bool(chosen.files),
        group=images[0].group,
    )
    return case, problems


def _without_image(
    masks: Sequence[Sequence[FoundFile]], rules: MaskRules, *, is_grouped: bool, is_allowed: bool
) -> list[Problem]:
    """Return what is wrong with masks without an image; where these are allowed, log that they are left out."""
    problems = [
        Problem(_identifier(files[0], is_grouped=is_grouped), rules.several_masks(files))
        for files in masks
        if rules.labels is None and chosen_masks(files, rules).problem
    ]
    if not is_allowed:
        problems += [Problem(_identifier(one, is_grouped=is_grouped), NO_IMAGE, one.path) for one, *_ in masks]
    elif masks:
        _log.info("%d masks without an image are left out, such as %s", len(masks), masks[0][0].path)
    return problems


def _with_twins(
    images: Sequence[FoundFile],
    masks_of: dict[str, list[FoundFile]],
    rules: MaskRules,
    *,
    is_grouped: bool,
    are_masks_left_out: bool,
) -> tuple[list[FoundFile], dict[Path, str]]:
    """Add further masks, which lie beside those that were found, to ``masks_of`` where they may be joined.

    Returns:
        The images without such masks, and the masks that may not be joined, with their cases.
    """
    names = {same_name(name): name for name in (_identifier(found, is_grouped=is_grouped) for found in images)}
    used = {found.path for found in images if same_name(_identifier(found, is_grouped=is_grouped)) in masks_of}
    used |= {found.path for key, files in masks_of.items() for found in files if key in names or are_masks_left_out}
    all_twins: set[Path] = set()
    unused: dict[Path, str] = {}
    for has_mark in (True, False):
        masks = {
            found.path: (key, found)
            for key, files in masks_of.items()
            if key in names
            for found in files
            if has_mark is (same_name(stem_of(found.path)) != same_name(found.case))
        }
        # Masks without a mark have the names of images, so what was found as an image stays one.
        taken = used if has_mark else used | {found.path for found in images}
        twins = {
            twin: masks[path] for twin, path in numbered_twins(list(masks), taken).items() if twin not in all_twins
        }
        all_twins |= twins.keys()
        # Without a mark, the file may be the mask of a missing image; without a number, it may be another picture.
        joined = dict(twins) if rules.joined or (rules.joined is None and has_mark) else {}
        unused |= {twin: names[key] for twin, (key, _) in twins.items() if twin not in joined}
        if has_mark:
            others = named_after_masks([one.path for one in images if one.path not in used | all_twins], list(masks))
            all_twins |= others.keys()
            joined |= {other: masks[path] for other, path in others.items() if rules.joined}
            unused |= {other: names[masks[path][0]] for other, path in others.items() if not rules.joined}
        for found in without_copies([replace(found, path=twin) for twin, (_, found) in joined.items()], "mask"):
            masks_of[joined[found.path][0]].append(found)
    # A further mask of one image is not the mask of another.
    for key in [key for key, files in masks_of.items() if key not in names and {f.path for f in files} <= all_twins]:
        del masks_of[key]
    return [found for found in images if found.path not in all_twins], unused


def _log_unlabelled(cases: Sequence[Case]) -> None:
    files = [case.channels[0] for case in cases if case.mask is None]
    if files:
        _log.info("%d of %d images have no mask, such as %s", len(files), len(cases), files[0])


def _identifier(found: FoundFile, *, is_grouped: bool) -> str:
    return f"{found.group}_{found.case}" if is_grouped else found.case


def _by_identifier(files: Sequence[FoundFile], *, is_grouped: bool) -> dict[str, list[FoundFile]]:
    indexed: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for found in files:
        indexed[same_name(_identifier(found, is_grouped=is_grouped))].append(found)
    return dict(indexed)


def _channels_in_order(
    files: Sequence[FoundFile], channels: Sequence[str] | None, rules: MaskRules, *, is_grouped: bool
) -> tuple[list[Path], str]:
    """Return the files of a case's channels, and what is wrong with them ("" if nothing is)."""
    if channels is None:
        text = rules.several_images(files, is_grouped=is_grouped) if len(files) > 1 else ""
        return [files[0].path], text
    of_channel: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for found in files:
        of_channel[same_name(found.channel or "")].append(found)
    keys = [same_name(channel) for channel in channels]
    if missing := [channel for channel, key in zip(channels, keys, strict=True) if key not in of_channel]:
        return [], rules.missing_channels(missing, sorted(found.path.name for found in files))
    repeated = [of_channel[key] for key in keys if len(of_channel[key]) > 1]
    text = rules.several_images(repeated[0], is_grouped=is_grouped) if repeated else ""
    return [of_channel[key][0].path for key in keys], text
