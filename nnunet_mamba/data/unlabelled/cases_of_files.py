"""Make cases of files: which files are one image, what it is called, and where its mask belongs."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.converters.lgg_tree import numbered_slices, scan_of
from nnunet_mamba.data.converters.synapse_transunet_names import slice_number, stack_problems, transunet_case
from nnunet_mamba.data.formats.file_endings import VOLUME_ENDINGS
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.several_masks import MaskRules
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.named_files import NamedFile

PICTURE_MASK_ENDING = ".png"
# A mask is one file, so that it is whole or absent: pairs of a header and voxels get their format's single file.
_MASK_ENDINGS = {
    **{".nii.gz": ".nii.gz", ".nii": ".nii", ".hdr": ".nii.gz"},
    **{".mha": ".mha", ".mhd": ".mha", ".nrrd": ".nrrd", ".nhdr": ".nrrd"},
}
# Formats in which nnU-Net itself reads images, so that their names may end with its number of the channel.
_ENDINGS_OF_NNUNET = (".png", ".bmp", ".tif", *VOLUME_ENDINGS)
_SEPARATORS = "_-. "


@dataclass(frozen=True, kw_only=True)
class UnlabelledCase:
    """An image without a mask.

    Args:
        identifier: the place of its mask below the output, without a file ending and with "/" between folders; of a
            scan of slices, the place of their folder.
        channels: the source files of its channels in their order; of a scan, its slices, lowest first.
        masks: the files below the output that its mask is written to, with "/" between folders: one, or one for each
            slice.
    """

    identifier: str
    channels: tuple[Path, ...]
    masks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FilesInCases:
    """What became of files.

    Args:
        cases: made of them.
        problems: why others are no cases.
        unused: files that are of no case, and no problem.
    """

    cases: Sequence[UnlabelledCase]
    problems: Sequence[Problem] = ()
    unused: Sequence[NamedFile] = ()


def cases_of_files(files: Sequence[NamedFile], conversion: ImageConversion) -> FilesInCases:
    """Make cases of files, by their names alone.

    Args:
        files: with the endings of the conversion's kind, without masks.
        conversion: of the training data.
    """
    if conversion.kind is ImageKind.LGG_VOLUMES:
        return _scans(files)
    if conversion.kind is ImageKind.TRANSUNET_VOLUMES:
        return _transunet_volumes(files)
    if len(conversion.channel_tokens) > 1:
        return _images_of_several_files(files, conversion)
    return _images_of_one_file(files, conversion)


def _mask_file(place: str, source: Path, *, is_picture: bool) -> str:
    """Return the mask's file below the output."""
    if is_picture:
        return place + PICTURE_MASK_ENDING
    name = source.name.lower()
    return place + next((_MASK_ENDINGS[ending] for ending in VOLUME_ENDINGS if name.endswith(ending)), ".nii.gz")


def _place(folders: Sequence[str], name: str) -> str:
    return "/".join((*folders, name))


def _case(place: str, channels: Sequence[Path], *, is_picture: bool) -> UnlabelledCase:
    masks = (_mask_file(place, channels[0], is_picture=is_picture),)
    return UnlabelledCase(identifier=place, channels=tuple(channels), masks=masks)


def _images_of_one_file(files: Sequence[NamedFile], conversion: ImageConversion) -> FilesInCases:
    """Make a case of every file; what stands for its only channel is no part of its name, and may be missing in it."""
    names = [file.stem for file in files]
    chosen = list(range(len(files)))
    for token in conversion.channel_tokens:
        ends = [
            _end_of_token(name, token)
            if not conversion.is_by_hand or file.path.name.lower().endswith(_ENDINGS_OF_NNUNET)
            else None
            for file, name in zip(files, names, strict=True)
        ]
        marked = [index for index, end in enumerate(ends) if end]
        # Beside files of the one channel, others are those of channels that were not trained on.
        if marked and not conversion.is_by_hand:
            chosen = marked
        names = [name[:end] if end else name for name, end in zip(names, ends, strict=True)]
    taken, is_picture = set(chosen), conversion.kind.writes_pictures
    return FilesInCases(
        cases=[
            _case(_place(files[index].folders, names[index]), [files[index].path], is_picture=is_picture)
            for index in chosen
        ],
        unused=[file for index, file in enumerate(files) if index not in taken],
    )


def _end_of_token(name: str, token: str) -> int | None:
    """Return where a name ends before a separator and the token, None if it does not end so."""
    end = len(name) - len(token)
    is_there = end > 1 and same_name(name[end:]) == same_name(token) and name[end - 1] in _SEPARATORS
    return end - 1 if is_there else None


def _images_of_several_files(files: Sequence[NamedFile], conversion: ImageConversion) -> FilesInCases:
    """Make a case of the files of all channels of an image."""
    tokens = conversion.channel_tokens
    found = [_channel_of(file, tokens) for file in files]
    if not any(found):
        # Images that a conversion has prepared are called as nnU-Net calls them.
        numbers = tuple(f"{number:04d}" for number in range(len(tokens)))
        found = [_channel_of(file, numbers) for file in files]
        tokens = numbers if any(found) else tokens
    of_image: defaultdict[tuple[str, str], defaultdict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file, channel in zip(files, found, strict=True):
        if channel is not None:
            of_image[channel.folder, channel.place][channel.number].append(file.path)
    cases, problems = [], []
    for (_, place), of_channel in of_image.items():
        if text := _fault_of_channels(of_channel, tokens):
            problems.append(Problem(place, text, next(iter(of_channel.values()))[0]))
        else:
            channels = [of_channel[number][0] for number in range(len(tokens))]
            cases.append(_case(place, channels, is_picture=conversion.kind.writes_pictures))
    unused = [file for file, channel in zip(files, found, strict=True) if channel is None]
    return FilesInCases(cases=cases, problems=problems, unused=unused)


def _fault_of_channels(of_channel: Mapping[int, Sequence[Path]], tokens: Sequence[str]) -> str:
    there = sorted(path.name for paths in of_channel.values() for path in paths)
    if missing := [token for number, token in enumerate(tokens) if number not in of_channel]:
        return MaskRules().missing_channels(missing, there)
    for number, paths in of_channel.items():
        if len(paths) > 1:
            names = ", ".join(map(str, paths))
            return f"{len(paths)} files for channel {tokens[number]}, expected one: {names}; remove the others"
    return ""


@dataclass(frozen=True)
class _Channel:
    """Which channel of which image a file is: the image's folder on the disk and its place below the output."""

    folder: str
    place: str
    number: int


def _channel_of(file: NamedFile, tokens: Sequence[str]) -> _Channel | None:
    """Return what a file's name or folder tells: CASE_t1.nii.gz, CASE/t1.nii.gz or t1/CASE.nii.gz."""
    stem = file.stem
    folder, name_of_folder = os.path.split(os.path.dirname(os.path.abspath(file.path)))
    keys = [same_name(token) for token in tokens]
    # The longest first: one may be the end of another.
    for number in sorted(range(len(tokens)), key=lambda number: -len(tokens[number])):
        if end := _end_of_token(stem, tokens[number]):
            return _Channel(os.path.join(folder, name_of_folder), _place(file.folders, stem[:end]), number)
    if same_name(stem) in keys:
        place = "/".join(file.folders) or name_of_folder
        return _Channel(os.path.join(folder, name_of_folder), place, keys.index(same_name(stem)))
    if same_name(name_of_folder) in keys:
        return _Channel(folder, _place(file.folders[:-1], stem), keys.index(same_name(name_of_folder)))
    return None


def _scans(files: Sequence[NamedFile]) -> FilesInCases:
    """Make a case of the slices in each folder."""
    of_folder: defaultdict[tuple[str, tuple[str, ...]], list[NamedFile]] = defaultdict(list)
    for file in files:
        of_folder[file.parent, file.folders].append(file)
    cases, problems = [], []
    for (name, folders), slices in of_folder.items():
        folder = Path(name)
        names = Counter(scan for file in slices if (scan := scan_of(file.path)))
        if not names:
            text = "no number of a slice in its name, expected such as PATIENT_1.tif; rename the slices"
            problems.append(Problem(_place(folders, slices[0].path.name), text, slices[0].path))
            continue
        scan = names.most_common(1)[0][0]
        numbered, found = numbered_slices(
            [file.path for file in slices], folder, scan=scan, as_volumes=True, is_labelled=False
        )
        if found:
            problems += found
            continue
        paths = tuple(numbered.values())
        masks = tuple(_place(folders, path.stem + PICTURE_MASK_ENDING) for path in paths)
        cases.append(UnlabelledCase(identifier="/".join(folders) or scan, channels=paths, masks=masks))
    return FilesInCases(cases=cases, problems=problems)


def _transunet_volumes(files: Sequence[NamedFile]) -> FilesInCases:
    """Make a case of all slices of a volume, or of the volume."""
    of_case: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    unused = []
    for file in files:
        if name := transunet_case(file.path):
            of_case[file.parent, _place(file.folders, name)].append(file.path)
        else:
            unused.append(file)
    cases, problems = [], []
    for (_, place), paths in of_case.items():
        if found := [Problem(place, text, paths[0]) for text in stack_problems(paths)]:
            problems += found
        else:
            cases.append(_case(place, sorted(paths, key=slice_number), is_picture=False))
    return FilesInCases(cases=cases, problems=problems, unused=unused)
