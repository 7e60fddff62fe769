"""Packages that some work needs and an environment may lack, told in one sentence where they are missing."""

from collections.abc import Sequence
from importlib.util import find_spec


def require_packages(names: Sequence[str], *, what: str, install: str) -> None:
    """Raise if a package is not installed.

    Args:
        names: of packages, as they are imported.
        what: needs them, in the plural.
        install: what pip is to install.

    Raises:
        ModuleNotFoundError: names those that are missing, and the command that installs them.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        verb = "is" if len(missing) == 1 else "are"
        raise ModuleNotFoundError(
            f"{what} need {' and '.join(missing)}, which {verb} not installed: pip install {install}", name=missing[0]
        )
