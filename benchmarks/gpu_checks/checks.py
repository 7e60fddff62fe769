"""What a part of the check is made of: checks, each of which finds something about the device."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpu_checks.rows import MEASURED, OK, WRONG


@dataclass(frozen=True)
class Setting:
    """Where and how to check.

    Args:
        device: "cuda" or "cpu".
        is_dry_run: only show that everything runs, with tiny shapes and few repeats.
    """

    device: str
    is_dry_run: bool

    @property
    def is_small(self) -> bool:
        """Whether shapes are tiny: those of a GPU would take a CPU hours."""
        return self.device == "cpu"


@dataclass(frozen=True)
class Finding:
    """One row of a check; ``what`` is added to the check's own name."""

    value: str = ""
    expected: str = ""
    verdict: str = MEASURED
    what: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to find out; ``run`` gives its findings, one by one where they take time.

    Args:
        what: its name, unique in its part.
        run: called in the part's process.
    """

    what: str
    run: Callable[[], Iterable[Finding]]


class SkipCheck(Exception):  # noqa: N818  it is no error
    """This check cannot be made here; the text says why."""


def require_cuda(setting: Setting) -> None:
    """Skip the check on a CPU."""
    if setting.device != "cuda":
        raise SkipCheck("needs a CUDA device")


def verdict(is_right: bool) -> str:
    """Return the verdict of a comparison."""
    return OK if is_right else WRONG


def within(error: float, limit: float, *, where: str = "", what: str = "") -> Finding:
    """Return whether an error keeps to its limit; NaN does not."""
    value = f"{error:.1e} in {where}" if where else f"{error:.1e}"
    return Finding(value, f"<= {limit:.1e}", verdict(error <= limit), what)


def equal(is_equal: bool, *, what: str = "", value: str = "") -> Finding:
    """Return whether two results are the same to the last bit."""
    return Finding(value or ("equal" if is_equal else "different"), "equal", verdict(is_equal), what)
