"""Whether every image has a place of its own for its mask, where nothing else is lost and no later run takes it up."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.named_files import NamedFile, NamedPlace


class RealPaths:
    """Paths without links in their folders; a folder is looked up once, not for each of its files."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: Path | str) -> str:
        """Return the real path of a file, which may be a link itself.

        Args:
            path: of the file.
        """
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)


def without_repeats(files: Iterable[NamedFile]) -> list[NamedFile]:
    """Return files without those that several paths of the user lead to, if their masks have one place.

    Args:
        files: in any order.
    """
    real = RealPaths()
    seen: dict[tuple[str, tuple[str, ...]], NamedFile] = {}
    for file in files:
        seen.setdefault((real.of(file.path), file.folders), file)
    return list(seen.values())


def overlaps(place: NamedPlace, output: Path) -> list[Problem]:
    """Return a problem for each folder of images that the output lies in: its masks would be taken for images.

    Args:
        place: that the user has named.
        output: where the masks are to go.
    """
    there = output.resolve()
    problems = []
    for folder in place.folders:
        source = folder.resolve()
        if there == source or source in there.parents:
            where = "is" if there == source else "lies in"
            text = f"the output {output} {where} this folder of images, and the next run would predict its masks"
            problems.append(Problem(str(folder), f"{text}; choose another `output`", folder))
    return problems


def without_clashes(cases: Sequence[UnlabelledCase]) -> tuple[list[UnlabelledCase], list[Problem]]:
    """Return cases without those that would write the same mask, and a problem for each pair.

    Args:
        cases: of all shares.
    """
    owner: dict[tuple[str, str], UnlabelledCase] = {}
    clashing: set[int] = set()
    problems = []
    for case in cases:
        # An overlay is called as its image, whatever the format of the mask is.
        for kind, name in (("overlay", case.identifier), *(("mask", mask) for mask in case.masks)):
            # Names that differ in capitals only are the same for some file systems.
            first = owner.setdefault((kind, same_name(name)), case)
            if first is not case:
                clashing |= {id(first), id(case)}
                text = (
                    f"{first.channels[0]} and {case.channels[0]} would both write the mask {case.masks[0]}; rename "
                    "one, or predict them into two folders"
                )
                problems.append(Problem(case.identifier, text, case.channels[0]))
                break
    return [case for case in cases if id(case) not in clashing], problems


def files_that_are_folders(
    files: Sequence[tuple[str, UnlabelledCase]], output: Path, *, what: str = "mask"
) -> list[Problem]:
    """Return a problem for each file in whose place a folder is, or will be, and for each folder where a file is.

    An image a.jpg beside a folder of images that is called a.png has one.

    Args:
        files: below the output, with "/" between folders, and whose they are.
        output: where they are to go.
        what: to call them.
    """
    owner = {same_name(name): case for name, case in files}
    of_folder: dict[str, tuple[str, UnlabelledCase]] = {}
    for name, case in files:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            of_folder.setdefault("/".join(parts[:depth]), (name, case))
    problems = []
    for folder, (name, case) in of_folder.items():
        if (other := owner.get(same_name(folder))) is not None:
            text = (
                f"{other.channels[0]} and {case.channels[0]} would write the {what} {folder} and the {what} {name}, "
                "for which it would have to be a folder; rename one, or predict them into two folders"
            )
            problems.append(Problem(case.identifier, text, case.channels[0]))
        elif (place := output / folder).is_file():
            text = (
                f"{place} is a file, expected a folder for the {what} {name}; move it away, or choose another `output`"
            )
            problems.append(Problem(case.identifier, text, case.channels[0]))
    if output.is_dir():
        for name, case in files:
            if (place := output / name).is_dir():
                text = f"{place} is a folder, expected a place for the {what}; move it away, or choose another `output`"
                problems.append(Problem(case.identifier, text, case.channels[0]))
    return problems


def overwritten_images(cases: Sequence[UnlabelledCase], output: Path) -> list[Problem]:
    """Return a problem for each mask that would replace an image.

    Args:
        cases: of all shares.
        output: where the masks are to go.
    """
    real = RealPaths()
    sources = {real.of(path): path for case in cases for path in case.channels}
    return [
        Problem(case.identifier, f"its mask would replace the image {source}; choose another `output`", source)
        for case in cases
        for mask in case.masks
        if (source := sources.get(real.of(os.path.join(output, mask)))) is not None
    ]
