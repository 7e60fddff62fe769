"""All findings of the doctor together: whether a training can run, and how many hints and problems there are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nnunet_mamba.doctor.findings import Finding, Level


@dataclass(frozen=True)
class Verdict:
    """What the doctor found.

    Args:
        findings: each with its area, in the order in which they were looked at.
    """

    findings: Sequence[tuple[str, Finding]]

    def count(self, level: Level) -> int:
        """Return the number of findings of a level."""
        return sum(finding.level == level for _, finding in self.findings)

    @property
    def can_train(self) -> bool:
        """Whether nothing keeps a training from running."""
        return self.count("problem") == 0

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        rows = [{"area": area, **asdict(finding)} for area, finding in self.findings]
        return {"can_train": self.can_train, "findings": rows}
