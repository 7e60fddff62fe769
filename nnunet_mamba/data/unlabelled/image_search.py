"""Find the images that a user names for a prediction, and give each the place of its mask; no image is opened."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnunet_mamba.data.converters.lgg_tree import TREES
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.filename_patterns import OTHER_IMAGE_ENDINGS
from nnunet_mamba.data.sources.unpacked_names import name_as_packed, problems_as_packed
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase, cases_of_files
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.mask_names import masks_among
from nnunet_mamba.data.unlabelled.mask_places import (
    files_that_are_folders,
    overlaps,
    overwritten_images,
    without_clashes,
    without_repeats,
)
from nnunet_mamba.data.unlabelled.named_files import NamedFile, NamedPlace, is_archive, named_place

SHOWN_NAMES = 5
_TRANSUNET_ENDINGS = ImageKind.TRANSUNET_VOLUMES.endings


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """What was found.

    Args:
        cases: images to predict, sorted by identifier; of the share that was asked for.
        refusals: why nothing should be predicted before the user has changed paths or names; each is one sentence.
        problems: why single images, which are not among ``cases``, cannot be predicted; of the share.
        notes: what was left out and why, in sentences.
        n_images: images of all shares.
    """

    cases: tuple[UnlabelledCase, ...]
    refusals: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    n_images: int = 0


def find_images(
    paths: Sequence[str | Path | NamedPlace],
    conversion: ImageConversion,
    *,
    output: Path,
    part: tuple[int, int] | None = None,
) -> FoundImages:
    """Find images, and say all that is wrong with them as far as names tell.

    Names are sorted by their characters, so that every machine makes the same shares of the same files.

    Args:
        paths: files, folders with all that is below them, patterns, and what ``unpacked_archives`` gives.
        conversion: of the data that the model was trained on.
        output: where the masks are to go.
        part: (k, n), the k-th of n shares, from 1; None means all.

    Raises:
        ValueError: ``part`` is no share.
    """
    if part is not None and not 1 <= part[0] <= part[1]:
        raise ValueError(f"share {part[0]}/{part[1]}: expected K/N, K from 1 to N, such as 3/16")
    named = [path if isinstance(path, NamedPlace) else named_place(str(path)) for path in paths]
    places = [_outside(place, output) for place in named]
    found = _sorted_out(places, conversion)
    made = cases_of_files(without_repeats(found.images), conversion)
    found.note(made.unused, "of no channel that the model was made for")
    if made.unused and not made.cases and not made.problems:
        found.refusals.append(_no_channels(made.unused, conversion))
    cases, clashes = without_clashes(sorted(made.cases, key=lambda case: case.identifier))
    inside = [problem for place in places for problem in overlaps(place, output)]
    folders = files_that_are_folders([(mask, case) for case in cases for mask in case.masks], output)
    refusals = [*found.refusals, *inside, *clashes, *folders, *overwritten_images(cases, output)]
    problems = sorted([*found.problems, *made.problems], key=lambda one: (one.identifier, str(one.file)))
    if not cases and not problems and not refusals:
        names = f"{', '.join(place.name for place in places[:SHOWN_NAMES])}{', ...' * (len(places) > SHOWN_NAMES)}"
        refusals.append(_nothing_readable(names, [file for place in places for file in place.files], conversion))
    share = slice(None) if part is None else slice(part[0] - 1, None, part[1])
    return FoundImages(
        cases=tuple(cases[share]),
        refusals=tuple(problems_as_packed(refusals)),
        problems=tuple(problems_as_packed(problems[share])),
        notes=tuple(map(name_as_packed, found.notes())),
        n_images=len(cases),
    )


def _outside(place: NamedPlace, output: Path) -> NamedPlace:
    """Return what a pattern stands for without what earlier runs have written; walked folders are refused instead."""
    if place.folders or os.path.lexists(place.name) or not output.is_dir():
        return place
    there = os.path.join(os.path.realpath(output), "")
    kept = tuple(file for file in place.files if not os.path.realpath(file.path).startswith(there))
    # Images that all lie in the output are told as what they are.
    return replace(place, files=kept) if kept else place


@dataclass
class _Sorted:
    """Files by what they are."""

    images: list[NamedFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refusals: list[Problem] = field(default_factory=list)
    left_out: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def note(self, files: Iterable[NamedFile], reason: str) -> None:
        """Remember files that are left out."""
        if paths := [file.path for file in files]:
            self.left_out[reason] += paths

    def notes(self) -> list[str]:
        """Return what was left out, in sentences."""
        return [
            f"{reason}: {len(paths)} file{'s' if len(paths) > 1 else ''} left out, such as {paths[0]}"
            for reason, paths in self.left_out.items()
        ]


def _sorted_out(places: Sequence[NamedPlace], conversion: ImageConversion) -> _Sorted:
    """Return the files of all places by what they are."""
    kind = conversion.kind
    parted = [_parted(place.files, kind) for place in places]
    readable = [file for files, _ in parted for file in files]
    masks = masks_among(readable, kind)
    stems = {_stem_in_folder(file) for file in readable}
    found = _Sorted(refusals=[problem for place in places for problem in place.problems])
    found.note((file for file in readable if file.path in masks), "masks by their names")
    for place, (files, others) in zip(places, parted, strict=True):
        images = [file for file in files if file.path not in masks]
        if kind in (ImageKind.LGG_SLICES, ImageKind.LGG_VOLUMES):
            images, copies, refusals = _of_one_tree(images)
            found.note(copies, "a second copy of the same tree of folders")
            found.refusals += refusals
        found.images += images
        if not images and place.folders and not place.problems:
            found.refusals.append(_nothing_readable(place.name, place.files, conversion, masks=masks))
            continue
        _sort_out_others(others, conversion, stems, found)
    return found


def _sort_out_others(
    files: Sequence[NamedFile], conversion: ImageConversion, stems: Collection[tuple[str, str]], found: _Sorted
) -> None:
    """Add files that cannot be images of a kind to what was found.

    Args:
        files: of one place.
        conversion: whose kind it is.
        stems: folder and name of each file that may be such an image, see ``_stem_in_folder``.
        found: gets problems and notes.
    """
    unread: defaultdict[tuple[str, str], list[NamedFile]] = defaultdict(list)
    for file in files:
        name = file.path.name.lower()
        if file.is_named and (text := _other_kind(file.path, conversion)):
            found.problems.append(Problem(str(file.path), text, file.path))
        elif name.endswith((*PICTURE_ENDINGS, *VOLUME_ENDINGS, *_TRANSUNET_ENDINGS)):
            found.note([file], f"no {conversion.kind.in_words}")
        elif not name.endswith(OTHER_IMAGE_ENDINGS):
            found.note([file], "no images")
        elif _stem_in_folder(file) not in stems:
            unread[file.parent, file.path.suffix.lower()].append(file)
    found.problems += [_unread(unread_files, ending, conversion) for (_, ending), unread_files in unread.items()]


def _parted(files: Sequence[NamedFile], kind: ImageKind) -> tuple[list[NamedFile], list[NamedFile]]:
    """Return the files that may be images of a kind by their endings, and the others."""
    may_be: list[NamedFile] = []
    others: list[NamedFile] = []
    endings = kind.endings
    for file in files:
        (may_be if file.path.name.lower().endswith(endings) else others).append(file)
    return may_be, others


def _stem_in_folder(file: NamedFile) -> tuple[str, str]:
    return file.parent, same_name(file.stem)


def _other_kind(path: Path, conversion: ImageConversion) -> str:
    """Return what is wrong with a file that the user has named, "" if it is no image at all."""
    name = path.name.lower()
    if is_archive(str(path)):
        return "an archive, which is not unpacked here; unpack it and name the folder"
    if name.endswith(PICTURE_ENDINGS):
        what = "a picture"
    elif name.endswith(VOLUME_ENDINGS):
        what = "a volume"
    elif name.endswith((*_TRANSUNET_ENDINGS, *OTHER_IMAGE_ENDINGS)):
        what = f"a {path.suffix.lower()} file, which cannot be read here"
    else:
        return ""
    return f"{what}; this model was made for {conversion.kind.in_words}"


def _unread(files: Sequence[NamedFile], ending: str, conversion: ImageConversion) -> Problem:
    first = files[0].path
    count, them = (f"{len(files)} {ending} files", "them") if len(files) > 1 else (f"a {ending} file", "it")
    text = f"{count}, which cannot be read here; save {them} as {conversion.kind.in_words}, or move {them} away"
    return Problem(str(first), text, first)


def _nothing_readable(
    name: str, files: Sequence[NamedFile], conversion: ImageConversion, *, masks: Collection[Path] = ()
) -> Problem:
    """Return the problem of a place, or of all places, without images."""
    endings = Counter(_ending(file.path) for file in files)
    listed = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(SHOWN_NAMES))
    there = f"there is {listed}" + (", ..." if len(endings) > SHOWN_NAMES else "") if endings else "it is empty"
    if n_masks := sum(file.path in masks for file in files):
        there += f", {n_masks} of them masks by their names"
    return Problem(name, f"no image that this model can read: {there}; expected {conversion.kind.in_words}")


def _ending(path: Path) -> str:
    name = path.name.lower()
    return next((ending for ending in VOLUME_ENDINGS if name.endswith(ending)), path.suffix.lower()) or "without ending"


def _no_channels(files: Sequence[NamedFile], conversion: ImageConversion) -> Problem:
    """Return the problem of files none of which is of a channel of the model."""
    tokens = conversion.channel_tokens
    is_spread = len(tokens) > 1
    one_each = f"one for each channel, such as CASE_{tokens[0]} and CASE_{tokens[1]}" if is_spread else ""
    names = f"{len(files)} files, such as {files[0].path.name}"
    text = f"no image that this model can read: {names}; expected {one_each or conversion.kind.in_words}"
    return Problem(str(files[0].path.parent), text)


def _of_one_tree(files: Sequence[NamedFile]) -> tuple[list[NamedFile], list[NamedFile], list[Problem]]:
    """Return slices without those that Kaggle's archive of LGG holds a second time, these, and what is wrong."""
    trees = [tuple(tree.split("/")) for tree in TREES if tree != "."]
    in_tree: dict[tuple[str, ...], dict[tuple[str, ...], NamedFile]] = {tree: {} for tree in trees}
    for file in files:
        for tree in trees:
            if file.folders[: len(tree)] == tree:
                name = (*file.folders[len(tree) :], file.path.name)
                in_tree[tree][name] = file
    first, second = (in_tree[tree] for tree in trees)
    if not first or not second:
        return list(files), [], []
    differences = first.keys() ^ second.keys()
    differences |= {name for name in first.keys() & second.keys() if _size(first[name]) != _size(second[name])}
    if differences:
        where = " and ".join("/".join(tree) for tree in trees)
        text = f"two trees, {where}, that differ in {'/'.join(min(differences))}; name one of them"
        return list(files), [], [Problem("/".join(trees[0]), text)]
    copies = set(second.values())
    return [file for file in files if file not in copies], list(copies), []


def _size(file: NamedFile) -> int | None:
    try:
        return file.path.stat().st_size
    except OSError:
        return None
