"""What the backends of the scan do on this machine, with all that is needed to compare or repeat it."""

import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from nnunet_mamba.ops.scan.backends import VARIABLE
from nnunet_mamba.ops.scan.survey import ERROR_SHAPE, SPEED_SHAPE, Choice, Measurement, choices, measure_backends
from nnunet_mamba.system.machine import processor

# What scans run on.
_PACKAGES = ("torch", "numba", "triton", "mamba-ssm")


@dataclass(frozen=True, kw_only=True)
class SurveyReport:
    """Measurements of all backends, and where they were made.

    Args:
        processor: name of the CPU.
        n_threads: that torch computes with.
        packages: versions of those that are installed.
        seed: of the random operands.
        measured: one row for each device and backend.
        chosen: the backend that scans take.
        forced: value of ``$NNUNET_MAMBA_SCAN``, None if it is not set.
    """

    processor: str
    n_threads: int
    packages: Mapping[str, str]
    seed: int
    measured: Sequence[Measurement]
    chosen: Sequence[Choice]
    forced: str | None

    @property
    def problem(self) -> str | None:
        """Why no scan can run at all; None if some can."""
        return None if any(choice.backend for choice in self.chosen) else self.chosen[0].problem

    @property
    def refusals(self) -> list[str]:
        """One line for each backend that does not run; numba's explanations have many."""
        refused = [(row, row.refusal.strip()) for row in self.measured if row.refusal is not None]
        return [f"{row.backend} on {row.device}: no, {reason.splitlines()[0]}" for row, reason in refused]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "processor": self.processor,
            "n_threads": self.n_threads,
            "packages": dict(self.packages),
            "seed": self.seed,
            "error_shape": dict(zip("bdln", ERROR_SHAPE, strict=True)),
            "speed_shape": dict(zip("bdln", SPEED_SHAPE, strict=True)),
            "backends": [{name: _in_json(value) for name, value in asdict(row).items()} for row in self.measured],
            VARIABLE: self.forced,
            "choices": [asdict(choice) for choice in self.chosen],
        }


def survey_backends(seed: int | None, *, on_start: Callable[[str], None]) -> SurveyReport:
    """Measure every backend on every device.

    Args:
        seed: of the random operands; None to draw one.
        on_start: called with what is measured next.
    """
    seed = random.randrange(2**31) if seed is None else seed
    return SurveyReport(
        processor=processor(),
        n_threads=torch.get_num_threads(),
        packages=_versions(),
        seed=seed,
        measured=list(measure_backends(seed, on_start=on_start)),
        chosen=choices(),
        forced=os.environ.get(VARIABLE),
    )


def _in_json(value: Any) -> Any:
    """Return ``value``, or its name where JSON has no such number: the error of a wrong kernel may be NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
