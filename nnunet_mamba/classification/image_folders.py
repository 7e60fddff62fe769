"""Find images and their classes: a folder for each class, or a table beside one folder."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from nnunet_mamba.classification.cifar_files import is_cifar_folder, read_cifar
from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS
from nnunet_mamba.data.sources.folder_walk import files_below, visible_entries
from nnunet_mamba.data.sources.group_table import image_key
from nnunet_mamba.data.sources.table_files import read_table
from nnunet_mamba.system.counts import how_many

# What an image is that has a 0 in each column of a table with a column for each class.
OTHER = "other"
# Parts of a data set, which are no classes.
_PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
_SHOWN = 5

_log = logging.getLogger(__name__)


def read_labelled_images(
    folder: Path | str, *, labels: Path | str | None = None
) -> tuple[LabelledImages, LabelledImages | None]:
    """Read any of the layouts that are known here.

    Args:
        folder: of images by class, of the images of a table, or CIFAR's python files.
        labels: a table of images and classes; None where folders or files tell the class.

    Returns:
        All images, and those that the data set itself holds out, which only CIFAR does.

    Raises:
        ValueError: it is none of these, or damaged.
        OSError: unreadable.
    """
    folder = Path(folder)
    if labels is not None:
        return read_label_table(folder, labels), None
    if is_cifar_folder(folder):
        return read_cifar(folder)
    return read_class_folders(folder), None


def read_class_folders(folder: Path | str) -> LabelledImages:
    """Return the images below ``folder``, whose subfolders are the classes, such as ``images/naevus/1.jpg``.

    Raises:
        ValueError: there are not two subfolders with images, or images outside of them, or the subfolders are parts of
            a data set, such as train and val, with a folder for each class.
        OSError: unreadable.
    """
    folder = Path(folder)
    entries = visible_entries(folder)
    if stray := [path.name for path in entries if _is_picture(path) and not path.is_dir()]:
        raise ValueError(
            f"{folder} holds {how_many(len(stray), 'image')} beside its folders, the first is {stray[0]}; expected a "
            f"folder for each class; move them into one, or give the table of their classes with `labels`"
        )
    found = {path.name: list(files_below(path)) for path in entries if path.is_dir()}
    _warn_of_others(folder, (path for paths in found.values() for path in paths))
    pictures = {name: list(filter(_is_picture, paths)) for name, paths in found.items()}
    files = {name: paths for name, paths in pictures.items() if paths}
    _refuse_parts(folder, files)
    if len(files) < 2:
        raise ValueError(
            f"{folder}: found {how_many(len(files), 'folder')} with images, expected at least two, one for each class, "
            f"as in {folder / 'naevus' / 'image.jpg'}"
        )
    labels = [label for label, paths in enumerate(files.values()) for _ in paths]
    return LabelledImages(
        classes=tuple(files),
        labels=np.array(labels, np.int64),
        pictures=[path for paths in files.values() for path in paths],
    )


def read_label_table(folder: Path | str, table: Path | str) -> LabelledImages:
    """Return the images below ``folder`` that a table names, with the classes that it gives them.

    The first column names the image, with its file ending or without. There is a second column with the classes' names,
    or a column for each class with 1 for the images that are of it, as ISIC's diagnoses come; an image with none is of
    the class OTHER. Images without a row are left out.

    Args:
        folder: of the images, in it or below.
        table: CSV with a heading.

    Raises:
        ValueError: it is no such table, an image has two classes, or a row has no image.
        OSError: unreadable.
    """
    folder, table = Path(folder), Path(table)
    class_of = _classes_in(table)
    files: dict[str, Path] = {}
    found = list(files_below(folder))
    _warn_of_others(folder, (path for path in found if image_key(path.stem) in class_of))
    for path in filter(_is_picture, found):
        other = files.setdefault(image_key(path.name), path)
        if other != path and image_key(path.name) in class_of:
            raise ValueError(f"{folder}: {other.name} and {path} have one name in the table; remove one of them")
    if missing := [name for name in class_of if name not in files]:
        raise ValueError(
            f"{table} names {how_many(len(missing), 'image')} that {folder} does not hold, such as "
            f"{', '.join(missing[:_SHOWN])}; add them, or remove their rows"
        )
    # As the table's columns come, or the names in their order.
    names = dict.fromkeys(class_of.values())
    classes = tuple(name for name in _class_order(table) if name in names)
    if len(classes) < 2:
        raise ValueError(
            f"{table}: all images are {classes[0]}, expected at least two classes; add rows of images of another"
        )
    return LabelledImages(
        classes=classes,
        labels=np.array([classes.index(name) for name in class_of.values()], np.int64),
        pictures=[files[name] for name in class_of],
    )


def _classes_in(table: Path) -> dict[str, str]:
    """Return the class of each image by the key of its name."""
    (_, heading), *rows = read_table(table, setting="`labels`")
    has_numbers = _has_numbers(rows)
    if has_numbers and (twice := [name for name, count in Counter(heading[1:]).items() if count > 1]):
        raise ValueError(
            f"{table} has several columns {twice[0]!r}, expected one for each class; rename or remove them"
        )
    class_of: dict[str, str] = {}
    for line, (name, *cells) in rows:
        if not has_numbers and (len(cells) > 1 or not cells[0]):
            found = f"{len(cells) + 1} columns" if cells[0] else "no class"
            raise ValueError(
                f"{table}, line {line}: {found}, expected the image and its class, or a column of 0 and 1 for each "
                f"class; remove the others"
            )
        own = [heading[1 + column] for column, cell in enumerate(cells) if float(cell)] if has_numbers else cells
        if len(own) > 1:
            raise ValueError(f"{table}, line {line}: {name} is {' and '.join(own)}, expected one class; correct it")
        if not own and OTHER in heading[1:]:
            raise ValueError(
                f"{table}, line {line}: {name} has no 1, not even in the column {OTHER!r}; correct or remove it"
            )
        chosen = own[0] if own else OTHER
        if class_of.setdefault(image_key(name), chosen) != chosen:
            raise ValueError(f"{table}, line {line}: {name} is {chosen}, and another class before; correct it")
    return class_of


def _class_order(table: Path) -> list[str]:
    (_, heading), *rows = read_table(table, setting="`labels`")
    return list(dict.fromkeys([*heading[1:], OTHER])) if _has_numbers(rows) else sorted({row[1] for _, row in rows})


def _has_numbers(rows: list[tuple[int, list[str]]]) -> bool:
    """Return whether a table has a column of 0 and 1 for each class; a single one names classes "0" and "1"."""
    cells = {cell for _, (_, *row) in rows for cell in row}
    return len(rows[0][1]) > 2 and all(cell in ("0", "1", "0.0", "1.0") for cell in cells)


def _refuse_parts(folder: Path, files: Mapping[str, list[Path]]) -> None:
    """Raise if the subfolders of ``folder`` are parts of a data set, each with a folder for every class."""
    inner = {
        name: {path.relative_to(folder / name).parts[0] for path in paths}
        for name, paths in files.items()
        if all(path.parent != folder / name for path in paths)
    }
    parts = [name for name in inner if name.lower() in _PARTS and len(inner[name]) > 1]
    if not parts and len(inner) > 1 and len(inner) == len(files):
        # Folders of patients below the classes have names of their own.
        shared = set.intersection(*inner.values())
        parts = list(inner) if len(shared) > 1 else []
    if parts:
        below = sorted(inner[parts[0]])
        raise ValueError(
            f"{folder}: {', '.join(map(repr, parts[:_SHOWN]))} hold no images but folders of them, such as "
            f"{' and '.join(map(repr, below[:2]))}, so they are parts of a data set and not classes; pass "
            f"{folder / parts[0]}"
        )


def _warn_of_others(folder: Path, files: Iterable[Path]) -> None:
    """Tell of files that are left out because their endings are those of no image that can be read."""
    endings = Counter(path.suffix.lower() or "without an ending" for path in files if not _is_picture(path))
    if endings:
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
        _log.warning(f"{folder}: files that are no images are left out ({counts}); save images as .png or .jpg")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_ENDINGS
