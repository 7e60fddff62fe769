"""Whether a folder may be the target of a conversion: what it holds, and whether it lies among the sources."""

from collections.abc import Collection, Set
from pathlib import Path

from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord, read_conversion_record

CASE_FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
_WAY_OUT = "Choose another place (`output`, `name`, `dataset_id` or `images_only`), or delete"


def stored_record(folder: Path) -> ConversionRecord | None:
    """Return the record that a target holds.

    Args:
        folder: need not exist.

    Returns:
        None if nothing is there.

    Raises:
        FileExistsError: something else is there.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file, expected a folder. {_WAY_OUT} it")
    stored = read_conversion_record(folder)
    if stored is None and folder.exists():
        content = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if content:
            raise FileExistsError(
                f"{folder} holds files of another origin ({', '.join(content[:5])}), and no {RECORD_FILE}. "
                f"{_WAY_OUT} {folder}"
            )
    return stored


def refuse_other_content(
    folder: Path, record: ConversionRecord, stored: ConversionRecord, expected: Set[Path], *, is_skipping: bool
) -> None:
    """Raise if a target holds another conversion, or files that are no part of this one.

    Args:
        folder: of the data set.
        record: of this run.
        stored: the record found there.
        expected: all files of this run.
        is_skipping: whether this run leaves cases with problems out.

    Raises:
        FileExistsError: with the differences.
    """
    if differences := record.differences(stored):
        hint = (
            "\n  some cases were left out there: pass `skip_invalid=True` again"
            if stored.skipped and not is_skipping
            else ""
        )
        raise FileExistsError(
            f"{folder} was converted differently:\n  " + "\n  ".join(differences) + f"{hint}\n{_WAY_OUT} {folder}"
        )
    ending = "".join(next(iter(expected)).suffixes[-1:])
    folders = {path.parent for path in expected} | {folder / name for name in CASE_FOLDERS}
    foreign = sorted(
        path
        for subfolder in folders
        for path in subfolder.glob(f"*{ending}")
        if path not in expected and not path.name.startswith(".")
    )
    if foreign:
        raise FileExistsError(
            f"{len(foreign)} files in {folder} do not belong to this data set, such as {foreign[0]}; "
            f"nnU-Net would take them for cases. Move them away. {_WAY_OUT} {folder}"
        )


def refuse_overlap(target: Path, sources: Collection[Path]) -> None:
    """Raise if a target lies in a folder of source files or holds one: the next run would mistake one for the other.

    Args:
        target: need not exist.
        sources: folders; files among them, such as zip archives, do not count.

    Raises:
        ValueError: they overlap, also by way of links.
    """
    there = target.resolve()
    for source in sorted(sources):
        if not source.is_dir():
            continue
        folder = source.resolve()
        if there == folder or folder in there.parents or there in folder.parents:
            where = "is" if there == folder else "lies in" if folder in there.parents else "holds"
            raise ValueError(
                f"the target {target} {where} the folder of images or masks {source}, expected another place: "
                "converted images would be taken for sources; choose it with `output` or `images_only`"
            )
