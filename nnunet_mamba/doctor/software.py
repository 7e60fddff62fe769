"""Python and the packages that the installation asks for."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from nnunet_mamba import __version__
from nnunet_mamba.doctor.findings import Finding, Level

_SHOWN = ("torch", "nnunetv2", "numba")
# A training runs without them: they draw the report and make the scan fast.
_TRAINS_WITHOUT = frozenset({"contourpy", "jinja2", "markupsafe", "numba"})


def software() -> Iterator[Finding]:
    """Compare what is installed with what our package's metadata asks for."""
    yield Finding(name="Python", text=f"{platform.python_version()} ({sys.executable})")
    try:
        required = requires("nnunet-mamba") or []
    except PackageNotFoundError:
        yield Finding(
            name="nnunet-mamba",
            level="hint",
            text=f"{__version__} runs from a folder, but is not installed in this Python",
            remedy="in its checkout, pip install ., or pip install --editable .",
        )
        return
    yield Finding(name="nnunet-mamba", text=__version__)
    yield from _packages(required)


def _packages(required: list[str]) -> Iterator[Finding]:
    """Yield a finding for each package that does not fit or is worth its line, and one for the others."""
    from packaging.requirements import Requirement

    fitting = 0
    for requirement in map(Requirement, required):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        level: Level = "hint" if requirement.name in _TRAINS_WITHOUT else "problem"
        asked = str(requirement.specifier)
        remedy = f"pip install '{requirement.name}{asked}'"
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(name=requirement.name, level=level, text="is not installed", remedy=remedy)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            text = f"{installed} is installed, expected {asked}"
            yield Finding(name=requirement.name, level=level, text=text, remedy=remedy)
        elif requirement.name in _SHOWN:
            yield Finding(name=requirement.name, text=installed)
        else:
            fitting += 1
    yield Finding(name="other packages", text=f"{fitting} required packages have the right versions")


def torch_failure() -> Finding | None:
    """Import torch; return what keeps it from that, or None."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        return Finding(
            name="torch",
            level="problem",
            text=f"cannot be imported: {error}",
            remedy="pip install --force-reinstall torch, in the variant for your machine (pytorch.org/get-started)",
        )
    return None
