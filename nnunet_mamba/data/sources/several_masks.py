"""Images with several masks, one file for each lesion or structure: join them, or report those that are not used."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.copies import stem_of
from nnunet_mamba.data.sources.filename_patterns import FoundFile
from nnunet_mamba.data.sources.folder_walk import visible_entries

# A number or letter tells a second mask from the first, as in mask_1, mask (2) and mask_b. It needs a separator after
# a digit, and is no date.
_NUMBERED = re.compile(r"(?P<first>.+)[ _.-]\(?(?:\d{1,6}|[a-zA-Z])\)?|(?P<letters>.*[^\d\W_])\d{1,3}")
_SEPARATOR = re.compile(r"[ _.-]")
SHOWN_FILES = 5


@dataclass(frozen=True, kw_only=True)
class MaskRules:
    """How the masks of one image become one label.

    Args:
        joined: whether several masks of an image, or of one label in it, are joined or refused; None joins masks of one
            folder, and the check of the case refuses them if they overlap.
        labels: what stands for ``{label}``, in the order of the labels' numbers; None where a mask holds all labels.
        allow_missing_labels: whether an image may lack the mask of a label, which is then nowhere in it.

    The methods say what a user can do, without settings that only some conversions have; see ``PatternMaskRules``.
    """

    joined: bool | None = False
    labels: tuple[str, ...] | None = None
    allow_missing_labels: bool = False

    def several_images(self, files: Sequence[FoundFile], *, is_grouped: bool) -> str:
        """Return what is wrong with several images of one case."""
        return listed("images", files, "remove the others")

    def several_masks(self, files: Sequence[FoundFile]) -> str:
        """Return what is wrong with several masks of one case."""
        way_out = "join them into one file, or take nnunet-mamba convert folder, which can join them"
        return listed("masks", files, "rename them" if are_of_several_cases(files) else way_out)

    def missing_labels(self, labels: Sequence[str]) -> str:
        """Return what is wrong with an image that lacks masks of some labels."""
        return f"no mask for {', '.join(labels)}; add it"

    def missing_channels(self, channels: Sequence[str], there: Sequence[str]) -> str:
        """Return what is wrong with an image that lacks files of some channels."""
        return f"channel {', '.join(channels)} is missing, there is {', '.join(there)}; add it"

    def way_to_use_twins(self) -> str:
        """Return what can be done with masks that are not used."""
        return "join them into one file, or move them away if they are no masks"


def are_of_several_cases(files: Sequence[FoundFile]) -> bool:
    """Return whether files of several cases share an identifier, as group ``a_b`` with ``c`` and ``a`` with ``b_c`` do.

    Args:
        files: of one identifier.
    """
    return len({(same_name(found.group or ""), same_name(found.case)) for found in files}) > 1


def listed(kind: str, files: Sequence[FoundFile], way_out: str) -> str:
    """Return the text of a case with several files.

    Args:
        kind: "images" or "masks".
        files: all of them.
        way_out: what can be done.
    """
    paths = ", ".join(str(found.path) for found in files)
    return f"{len(files)} {kind} for one case, expected one: {paths}; {way_out}"


@dataclass(frozen=True, kw_only=True)
class ChosenMasks:
    """The masks of one image.

    Args:
        files: in the order of joining; a later one covers an earlier one.
        numbers: of the label that each file holds; empty where the values of a file tell its labels.
        must_be_disjoint: whether files of one label are joined only if no two of them mark the same place.
        problem: what is wrong with them, "" if nothing is.
    """

    files: tuple[Path, ...] = ()
    numbers: tuple[int, ...] = ()
    must_be_disjoint: bool = False
    problem: str = ""


def chosen_masks(files: Sequence[FoundFile], rules: MaskRules) -> ChosenMasks:
    """Choose the masks of an image.

    Args:
        files: all of its masks.
        rules: of the conversion.
    """
    files = sorted(files, key=lambda found: natural_order(found.path.name))
    if rules.labels is None:
        if len(files) > 1 and not _may_be_joined(files, rules):
            return ChosenMasks(files=(files[0].path,), problem=rules.several_masks(files))
        is_asked = rules.joined or len(files) < 2
        return ChosenMasks(files=tuple(found.path for found in files), must_be_disjoint=not is_asked)
    of_label: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for found in files:
        of_label[same_name(found.label or "")].append(found)
    keys = [same_name(label) for label in rules.labels]
    problem = ""
    missing = [label for label, key in zip(rules.labels, keys, strict=True) if key not in of_label]
    repeated = [of_label[key] for key in keys if len(of_label[key]) > 1]
    if missing and not rules.allow_missing_labels:
        problem = rules.missing_labels(missing)
    elif unjoined := [found for found in repeated if not _may_be_joined(found, rules)]:
        problem = rules.several_masks(unjoined[0])
    pairs = [(found.path, number) for number, key in enumerate(keys, start=1) for found in of_label[key]]
    if files and not pairs and not problem:
        problem = f"no mask for any of {', '.join(rules.labels)}; add one, or move the image away"
    return ChosenMasks(
        files=tuple(path for path, _ in pairs),
        numbers=tuple(number for _, number in pairs),
        must_be_disjoint=bool(repeated) and not rules.joined,
        problem=problem,
    )


def _may_be_joined(files: Sequence[FoundFile], rules: MaskRules) -> bool:
    """Return whether the names of several masks of one image let them become one label."""
    if are_of_several_cases(files):
        return False
    if rules.joined is not None:
        return rules.joined
    # Several readers have a folder each; several lesions share one. Files of one name but for the ending are copies
    # that differ.
    names = {same_name(stem_of(found.path)) for found in files}
    return len({found.path.parent for found in files}) == 1 and len(names) == len(files)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names as people do: mask_2 before mask_10.

    Args:
        name: of a file.
    """
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", name)]


def numbered_twins(masks: Sequence[Path], used: Set[Path]) -> dict[Path, Path]:
    """Return unused files that look like further masks of an image, each with the mask that it lies beside.

    Such a file has the name of a mask beside it with a number behind.

    Args:
        masks: in use.
        used: all files in use: masks, and images that have one.
    """
    stems: defaultdict[Path, dict[str, Path]] = defaultdict(dict)
    for path in masks:
        stems[path.parent][same_name(stem_of(path))] = path
    # Compare names: two paths may lead to one file.
    names = {(path.parent, path.name) for path in used}
    twins = {}
    for folder in sorted(stems):
        for path in visible_entries(folder) if folder.is_dir() else ():
            if (folder, path.name) in names or not path.name.lower().endswith((*PICTURE_ENDINGS, *VOLUME_ENDINGS)):
                continue
            match = _NUMBERED.fullmatch(stem_of(path))
            first = (match["first"] or match["letters"]) if match else ""
            if (key := same_name(first)) in stems[folder]:
                twins[path] = stems[folder][key]
    return twins


def named_after_masks(images: Sequence[Path], masks: Sequence[Path]) -> dict[Path, Path]:
    """Return images with the name of a mask beside them and more behind, such as ``x_mask_left``, each with its mask.

    Args:
        images: that have no mask.
        masks: with a mark in their names, such as "_mask".
    """
    of_stem = {(path.parent, same_name(stem_of(path))): path for path in masks}
    found = {}
    for path in images:
        stem = same_name(stem_of(path))
        starts = ((path.parent, stem[: separator.start()]) for separator in _SEPARATOR.finditer(stem))
        if first := next((of_stem[start] for start in starts if start in of_stem), None):
            found[path] = first
    return found


def twin_problems(twins: Mapping[Path, str], rules: MaskRules) -> list[Problem]:
    """Return one problem for every case with unused masks.

    Args:
        twins: files of ``numbered_twins``, each with its case.
        rules: of the conversion.
    """
    of_case: defaultdict[str, list[Path]] = defaultdict(list)
    for path, identifier in twins.items():
        of_case[identifier].append(path)
    problems = []
    for identifier, paths in of_case.items():
        paths = sorted(paths, key=lambda path: natural_order(path.name))
        listed = ", ".join(path.name for path in paths[:SHOWN_FILES]) + (", ..." if len(paths) > SHOWN_FILES else "")
        beside = "lies beside its mask and is not used" if len(paths) == 1 else "lie beside its mask and are not used"
        text = f"{listed} {beside}, so what is marked there would be background; {rules.way_to_use_twins()}"
        problems.append(Problem(identifier, text, paths[0]))
    return problems
