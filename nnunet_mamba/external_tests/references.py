"""Find the references of an external test, and which of them belongs to which predicted mask, by names alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nnunet_mamba.data.formats.dataset_json import DatasetJson, read_dataset_json
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.formats.label_map_files import refuse_if_no_folder
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.data.sources.folder_walk import files_below
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.mask_names import is_in_mask_folder
from nnunet_mamba.data.unlabelled.mask_places import RealPaths
from nnunet_mamba.evaluation.plain_masks import SUFFIXES_IN_WORDS, are_black_and_white, mask_stem
from nnunet_mamba.system.counts import how_many

# nnU-Net's number of an image's first channel, which masks do not have.
_FIRST_CHANNEL = "_0000"


@dataclass(frozen=True, kw_only=True)
class References:
    """The reference label maps or masks of a folder and all folders below it.

    Args:
        folder: that the user has named.
        files: by their place below the folder, without ending and suffix.
        dataset: what their dataset.json says; None for black and white masks.
    """

    folder: Path
    files: Mapping[str, Path]
    dataset: DatasetJson | None


@dataclass(frozen=True, kw_only=True)
class ReferencedMask:
    """A mask that is to be predicted, and its reference.

    Args:
        mask: its file below the output, with "/" between folders.
        identifier: of the case.
        reference: its file.
    """

    mask: str
    identifier: str
    reference: Path


def find_references(
    folder: Path, dataset_json: Path | None, *, images: Sequence[UnlabelledCase], output: Path
) -> References:
    """Find the references below a folder.

    Pictures without a dataset.json are black and white masks. Where they lie among the images, as in PH2, those count
    whose names end with one of ``MASK_SUFFIXES``, and those in a folder called ``masks`` or alike.

    Args:
        folder: of the references.
        dataset_json: names labels and the file ending; None takes the one beside ``folder``, if it is there.
        images: of the test, which are no references.
        output: of the test, which must not lie in ``folder``.

    Raises:
        FileNotFoundError: there is no folder or no reference.
        ValueError: two references have one name, the masks are not black and white and have no dataset.json, or the
            output lies among them.
    """
    refuse_if_no_folder(folder, holds="references")
    here = folder.resolve()
    if here in (output.resolve(), *output.resolve().parents):
        raise ValueError(
            f"the output {output} lies in the folder of references {folder}, and its masks would be taken for "
            "references; choose another `output`"
        )
    beside = here.parent / "dataset.json"
    described = dataset_json or (beside if beside.is_file() else None)
    dataset = None if described is None else read_dataset_json(described)
    real = RealPaths()
    taken = {real.of(path) for case in images for path in case.channels}
    endings = PICTURE_ENDINGS if dataset is None else (dataset.file_ending,)
    files = [
        path
        for path in files_below(folder)
        if path.name.lower().endswith(tuple(map(str.lower, endings))) and real.of(path) not in taken
    ]
    is_among_images = any(here in Path(path).parents for path in taken)
    if dataset is None and is_among_images:
        files = [path for path in files if mask_stem(path) != path.stem or _is_in_mask_folder(path, folder)]
        if not files:
            raise FileNotFoundError(
                f"{folder} holds the images, too, and no picture among them is called as a mask; name each mask as its "
                f"image with {SUFFIXES_IN_WORDS} added, or put the masks into a folder of their own and name that"
            )
    if not files:
        what = "masks, expected pictures such as .png files" if dataset is None else f"{dataset.file_ending} files"
        raise FileNotFoundError(f"{folder} holds no {what}; name the folder of references{_advice(folder, dataset)}")
    if dataset is None and not are_black_and_white(files):
        raise ValueError(
            f"{folder} holds other pictures than black and white masks, such as {files[0].name}; name the dataset.json "
            "that knows their values with `dataset_json=FILE`"
        )
    return References(folder=folder, files=_by_place(files, folder, dataset), dataset=dataset)


def _is_in_mask_folder(path: Path, folder: Path) -> bool:
    return is_in_mask_folder(path.relative_to(folder).parts[:-1])


def _advice(folder: Path, dataset: DatasetJson | None) -> str:
    if dataset is None and any(path.name.lower().endswith(VOLUME_ENDINGS) for path in files_below(folder)):
        return "; volumes need the dataset.json of their data set: name it with `dataset_json=FILE`"
    return ""


def _by_place(files: Sequence[Path], folder: Path, dataset: DatasetJson | None) -> dict[str, Path]:
    several: defaultdict[str, list[Path]] = defaultdict(list)
    for path in files:
        stem = mask_stem(path) if dataset is None else path.name[: -len(dataset.file_ending)]
        several[same_name(path.relative_to(folder).with_name(stem).as_posix())].append(path)
    if repeated := [paths for paths in several.values() if len(paths) > 1]:
        listed = "\n  ".join(" and ".join(map(str, paths)) for paths in repeated)
        raise ValueError(f"{folder} holds several references of one name; keep one of each:\n  {listed}")
    return {place: paths[0] for place, paths in several.items()}


def referenced_masks(cases: Sequence[UnlabelledCase], references: References) -> list[ReferencedMask]:
    """Return the masks that are to be predicted with their references, sorted.

    A reference belongs to the image of its own place, ``clinic/a.jpg`` and ``clinic/a_mask.png``, or else to the only
    image of its name, wherever both lie.

    Args:
        cases: all images of the test.
        references: all references.

    Raises:
        FileNotFoundError: an image has no reference, or a reference no image; lists all.
        ValueError: a name does not tell which reference is meant; lists all.
    """
    masks = {mask: case for case in cases for mask in case.masks}
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for place in references.files:
        by_name[PurePosixPath(place).name].append(place)
    found: dict[str, str] = {}
    missing, unclear = [], []
    for mask, case in masks.items():
        places = _places(_without_ending(mask), references, by_name)
        if len(places) == 1:
            found[mask] = places[0]
        elif places:
            unclear.append(f"{case.channels[0]}: {' or '.join(str(references.files[place]) for place in places)}")
        else:
            missing.append(str(case.channels[0]))
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for mask, place in found.items():
        owners[place].append(str(masks[mask].channels[0]))
    unclear += [f"{references.files[place]}: {' or '.join(names)}" for place, names in owners.items() if len(names) > 1]
    if unclear:
        listed = "\n  ".join(unclear)
        raise ValueError(
            "names do not tell which reference belongs to which image; name the references as the images, in folders "
            f"of the same names:\n  {listed}"
        )
    unused = [str(path) for place, path in references.files.items() if place not in owners]
    _refuse_missing(references.folder, missing, unused)
    short = _short_names(list(found))
    return [
        ReferencedMask(mask=mask, identifier=short[mask], reference=references.files[found[mask]])
        for mask in sorted(found)
    ]


def _places(name: str, references: References, by_name: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the places of the references that may belong to a mask.

    Args:
        name: of the mask below the output, without ending.
        references: all.
        by_name: the places of each name.
    """
    keys = [same_name(name)]
    keys += [key.removesuffix(_FIRST_CHANNEL) for key in keys if key.endswith(_FIRST_CHANNEL)]
    for key in keys:
        if key in references.files:
            return [key]
        if places := by_name.get(PurePosixPath(key).name):
            return places
    return []


def _refuse_missing(folder: Path, missing: Sequence[str], unused: Sequence[str]) -> None:
    problems = [
        f"{how_many(len(names), *what)}:\n  " + "\n  ".join(sorted(names))
        for what, names in (
            ((f"image has no reference in {folder}", f"images have no reference in {folder}"), missing),
            ((f"reference in {folder} has no image", f"references in {folder} have no image"), unused),
        )
        if names
    ]
    if problems:
        advice = f"Every image needs its reference, under the image's name or with {SUFFIXES_IN_WORDS} added"
        raise FileNotFoundError("\n".join([*problems, advice]))


def _without_ending(mask: str) -> str:
    lower = mask.lower()
    ending = next((one for one in (*VOLUME_ENDINGS, *PICTURE_ENDINGS) if lower.endswith(one)), "")
    return mask[: len(mask) - len(ending)]


def _short_names(masks: Sequence[str]) -> dict[str, str]:
    """Return what to call the case of each mask: its name without folders, unless two have the same."""
    names = {mask: PurePosixPath(_without_ending(mask)).name for mask in masks}
    if len(set(map(same_name, names.values()))) == len(names):
        return names
    return {mask: _without_ending(mask) for mask in masks}
