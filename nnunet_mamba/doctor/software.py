"""Python and the packages that the installation asks for."""

import platform
import sys
from collections.abc import Container, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from nnunet_mamba import __version__
from nnunet_mamba.doctor.findings import Finding, Level
from nnunet_mamba.presets import PRESETS

_SHOWN = ("torch", "nnunetv2", "numba")
# A training runs without them: they draw the report and make the scan fast.
_TRAINS_WITHOUT = frozenset({"contourpy", "jinja2", "markupsafe", "numba"})


# All that predicting with ONNX files needs, besides onnxruntime.
_PREDICTS_WITH = frozenset({"numpy", "pillow", "rich", "typer"})


def has_files_alone() -> bool:
    """Return whether what is installed can predict with ONNX files, and was never meant to train."""
    # By its import: onnxruntime comes under several names.
    return find_spec("onnxruntime") is not None and not _is_installed("torch") and not _is_installed("nnunetv2")


def software_for_files() -> Iterator[Finding]:
    """Compare what is installed with what predicting with ONNX files needs."""
    required = _required()
    yield from _interpreter(required)
    yield _onnxruntime(required)
    yield from _packages(required, only=_PREDICTS_WITH)
    yield Finding(
        name="torch, nnunetv2",
        level="problem",
        text="are not installed: models that are no ONNX files cannot predict here, and nothing can train",
        remedy="to train, pip install nnunet-mamba without --no-deps",
    )


def software() -> Iterator[Finding]:
    """Compare what is installed with what our package's metadata asks for."""
    required = _required()
    yield from _interpreter(required)
    if required:
        yield from _packages(required)
    yield from _extras_of_networks(required)


def _interpreter(required: list[str]) -> Iterator[Finding]:
    """Yield what Python and which nnunet-mamba this is."""
    yield Finding(name="Python", text=f"{platform.python_version()} ({sys.executable})")
    if required:
        yield Finding(name="nnunet-mamba", text=__version__)
        return
    yield Finding(
        name="nnunet-mamba",
        level="hint",
        text=f"{__version__} runs from a folder, but is not installed in this Python",
        remedy="in its checkout, pip install ., or pip install --editable .",
    )


def _onnxruntime(required: list[str]) -> Finding:
    """Import onnxruntime, and compare its version with what the extra asks for."""
    from packaging.requirements import Requirement

    asked = next((one.specifier for one in map(Requirement, required) if one.name == "onnxruntime"), None)
    remedy = f"pip install 'onnxruntime{asked or ''}'"
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        text = f"cannot be imported: {error}"
        return Finding(name="onnxruntime", level="problem", text=text, remedy=remedy)
    found = onnxruntime.__version__
    if asked is not None and not asked.contains(found, prereleases=True):
        text = f"{found} is installed, expected {asked}"
        return Finding(name="onnxruntime", level="problem", text=text, remedy=remedy)
    return Finding(name="onnxruntime", text=f"{found}, for files of nnunet-mamba export")


def _required() -> list[str]:
    """Return what our package's metadata asks for; nothing where it is not installed."""
    try:
        return requires("nnunet-mamba") or []
    except PackageNotFoundError:
        return []


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _packages(required: list[str], *, only: Container[str] | None = None) -> Iterator[Finding]:
    """Yield a finding for each package that does not fit or is worth its line, and one for the others.

    Args:
        required: of our package's metadata.
        only: names of those to look at; None for all.
    """
    from packaging.requirements import Requirement

    fitting = 0
    for requirement in map(Requirement, required):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if only is not None and requirement.name not in only:
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


def _extras_of_networks(required: list[str]) -> Iterator[Finding]:
    """Yield for each extra that networks need whether its packages are installed; a training of ours needs none."""
    for extra in sorted({preset.extra for preset in PRESETS.values()} - {""}):
        of_extra = [preset for preset in PRESETS.values() if preset.extra == extra]
        packages = sorted({package for preset in of_extra for package in preset.requires})
        missing = [package for package in packages if find_spec(package) is None]
        if too_old := list(_too_old(required, extra=extra, without=missing)):
            yield Finding(
                name=extra,
                level="hint",
                text=f"{', '.join(too_old)}; networks of this extra may fail",
                remedy=f"pip install 'nnunet-mamba[{extra}]'",
            )
        elif not missing:
            yield Finding(name=extra, text=f"{', '.join(packages)} are installed, for {len(of_extra)} networks more")
        if not missing:
            continue
        lacking = [preset.trainer for preset in of_extra if set(preset.requires) & set(missing)]
        yield Finding(
            name=extra,
            text=f"{', '.join(missing)} not installed, which {', '.join(lacking)} need; all others train without. "
            f"For them: pip install 'nnunet-mamba[{extra}]'",
        )


def _too_old(required: list[str], *, extra: str, without: list[str]) -> Iterator[str]:
    """Yield what is installed of an extra's packages in a version that it does not take."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, required):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name.replace("-", "_") in without or not _is_installed(requirement.name):
            continue
        if not requirement.specifier.contains(found := version(requirement.name), prereleases=True):
            yield f"{requirement.name} {found} is installed, expected {requirement.specifier}"


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
