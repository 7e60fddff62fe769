"""Names of restored masks: those of their sources."""

from collections.abc import Mapping
from pathlib import Path

from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset


def restored_files(identifier: str, dataset: ConvertedDataset, output: Path) -> list[Path]:
    """Return the files of a restored mask: one, or one for each slice that was stacked.

    Args:
        identifier: of a case of the data set.
        dataset: that it belongs to.
        output: the folder of all masks.
    """
    source = dataset.cases[identifier]["source"]
    if "slices" in source:
        return [output / identifier / f"{Path(name).stem}.png" for name in source["slices"]]
    name = Path(source["file"]).with_suffix("") if "file" in source else identifier
    return [output / f"{name}{dataset.file_ending}"]


def same_files(files: Mapping[str, Path], dataset: ConvertedDataset) -> list[Problem]:
    """Return a problem for each mask whose file would replace that of another.

    Args:
        files: predictions by identifier.
        dataset: that they belong to.
    """
    owner: dict[str, str] = {}
    problems = []
    for identifier, path in files.items():
        for target in restored_files(identifier, dataset, Path()) if identifier in dataset.cases else []:
            # Names that differ in capitals only are the same for some file systems.
            first = owner.setdefault(str(target).lower(), identifier)
            if first != identifier:
                text = f"its mask would be {target}, as that of {first} is; restore one of them into another folder"
                problems.append(Problem(identifier, text, path))
    return problems
