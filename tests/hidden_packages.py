"""Environments of processes that find some installed packages, and none of the others."""

import os
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# Python imports this module at every start, in all processes that a process starts too.
SITECUSTOMIZE = """
import sys
from importlib.machinery import PathFinder

HIDDEN = set({hidden!r})


class WithoutHidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(*arguments, **options):
        return PathFinder.find_distributions(*arguments, **options)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutHidden
"""


def environment_with(folder, *names):
    """The variables of a process that finds these distributions, all that they require, and the checkout.

    Args:
        folder: for the module that hides the others.
        names: of the distributions.

    Returns:
        The variables, and the names of the packages that are hidden.
    """
    kept = _with_what_they_need(*names) | {"nnunet-mamba"}
    hidden = sorted(
        package
        for package, owners in packages_distributions().items()
        # Old copies of Python's own modules are packages too.
        if package not in sys.stdlib_module_names and not kept & {canonicalize_name(owner) for owner in owners}
    )
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE.format(hidden=hidden))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("nnUNet", "NNUNET_MAMBA"))}
    return {**variables, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_WAIT_POLICY": "passive"}, set(hidden)


def _with_what_they_need(*names):
    """The distributions and all that they require, extras apart."""
    found, left = set(), list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        found.add(name)
        try:
            requirements = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        left += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found
