"""Which cases show one patient or lesion: from the record of a conversion, or from a table."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_mamba.comparison.comparability import shown
from nnunet_mamba.data.sources.group_table import LESION, image_key, read_group_table
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, read_conversion_record
from nnunet_mamba.system.counts import how_many


@dataclass(frozen=True, kw_only=True)
class CaseGroups:
    """The patient or lesion of cases.

    Args:
        by_case: of those that have one; the others count for themselves.
        source: the file that tells, None where nothing does.
    """

    by_case: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None

    @property
    def noun(self) -> str:
        """What is resampled, in the plural."""
        if not self.by_case:
            return "cases"
        # Group tables put the heading of the column before the id.
        n_lesions = sum(group.startswith(f"{LESION} ") for group in self.by_case.values())
        return "patients" if not n_lesions else "lesions" if n_lesions == len(self.by_case) else "patients or lesions"

    @property
    def singular(self) -> str:
        """The same in the singular."""
        return {"cases": "case", "patients": "patient", "lesions": "lesion"}.get(self.noun, "patient or lesion")

    def of(self, identifiers: Sequence[str]) -> list[str]:
        """Return the group of each case, unique for a case without one."""
        return [f"group {self.by_case[name]}" if name in self.by_case else f"case {name}" for name in identifiers]

    def n_across(self, folds: Mapping[str, str]) -> int:
        """Return how many groups have cases in several folds.

        Args:
            folds: of each case.
        """
        found = defaultdict(set)
        for name, group in self.by_case.items():
            if name in folds:
                found[group].add(folds[name])
        return sum(len(each) > 1 for each in found.values())


def read_groups(
    identifiers: Sequence[str],
    dataset: Path | None,
    *,
    table: Path | None = None,
    group_column: str | None = None,
) -> CaseGroups:
    """Return what is known of the patients of some cases.

    Args:
        identifiers: of the cases.
        dataset: folder of the raw data set, which need not exist; None where it is not known.
        table: names image and patient or lesion, as for a conversion; it counts before the data set's record.
        group_column: heading of the column of the table that counts.

    Raises:
        OSError: the table cannot be read.
        ValueError: it lacks a case, or tells two groups of one; or the record is damaged.
    """
    if table is not None:
        return _groups_of_table(identifiers, table, group_column)
    record = None if dataset is None else read_conversion_record(dataset)
    if dataset is None or record is None:
        return CaseGroups()
    known = {name: record.groups[name] for name in identifiers if name in record.groups}
    if wrong := [name for name, group in known.items() if not isinstance(group, str) or not group]:
        raise ValueError(
            f"{dataset / RECORD_FILE}: the group of {wrong[0]} is no text; delete {dataset} and convert again"
        )
    return CaseGroups(by_case=known, source=dataset / RECORD_FILE) if known else CaseGroups()


def _groups_of_table(identifiers: Sequence[str], path: Path, group_column: str | None) -> CaseGroups:
    table = read_group_table(path, group_column=group_column)
    rows = {name: table.groups_of.get(image_key(name), {}) for name in identifiers}
    if missing := [name for name, found in rows.items() if not found]:
        raise ValueError(
            f"{path} has no row for {len(missing)} of {how_many(len(rows), 'case')} ({shown(missing)}); add the rows, "
            "or give the table of these images"
        )
    for name, found in rows.items():
        if len(found) > 1:
            listed = " and ".join(f"{group or 'none'} (line {line})" for group, line in found.items())
            raise ValueError(f"{path} tells two groups of {name}, {listed}; correct the table")
    groups = {name: next(iter(found)) for name, found in rows.items()}
    return CaseGroups(by_case={name: group for name, group in groups.items() if group is not None}, source=path)
