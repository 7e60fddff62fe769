"""Measure how often bootstrap intervals of 95 % hold the true difference, and compare ours with scipy's.

    python benchmarks/interval_coverage.py [--trials 1000] [--resamples 1000]

Prints comma-separated rows: the kind of differences, the number of patients, and the part of the trials in which each
interval held the true mean: ``ours`` (expanded percentile), and ``percentile`` and ``bca`` of scipy.stats.bootstrap,
all with whole patients resampled. Of 1000 trials at 95 %, nineteen in twenty runs give 93.6 to 96.4 %.

- ``normal`` and ``heavy`` (Student's t, 3 degrees of freedom): one case a patient, symmetric.
- ``missed``: differences of a hundredth, and in one patient of ten a lesion that one of the models misses.
- ``slices``: 1 to 40 cases a patient, which share half of their variance.
"""

import argparse
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import scipy
from scipy.stats import bootstrap

from nnunet_mamba.comparison.statistics.paired_difference import Resampling, bootstrap_interval

Array = npt.NDArray[np.float64]
# Sums of differences and numbers of cases of each patient.
Sample = tuple[Array, Array]

N_PATIENTS = (10, 20, 50, 100)
P_MISSED, COST_OF_A_MISS = 0.1, (0.2, 0.8)


def normal(rng: np.random.Generator, n: int) -> Sample:
    """Draw differences of one case each."""
    return rng.normal(0, 0.1, n), np.ones(n)


def heavy(rng: np.random.Generator, n: int) -> Sample:
    """Draw differences of which some are large, of either sign."""
    return rng.standard_t(3, n), np.ones(n)


def missed(rng: np.random.Generator, n: int) -> Sample:
    """Draw small differences, and large ones of one sign."""
    misses = np.where(rng.random(n) < P_MISSED, rng.uniform(*COST_OF_A_MISS, n), 0)
    return rng.normal(0, 0.01, n) + misses, np.ones(n)


def slices(rng: np.random.Generator, n: int) -> Sample:
    """Draw the sums of many differences that agree within a patient."""
    counts = rng.integers(1, 41, n).astype(np.float64)
    return counts * rng.normal(0, 0.1, n) + np.sqrt(counts) * rng.normal(0, 0.1, n), counts


KINDS: Mapping[str, tuple[Callable[[np.random.Generator, int], Sample], float]] = {
    "normal": (normal, 0.0),
    "heavy": (heavy, 0.0),
    "missed": (missed, P_MISSED * sum(COST_OF_A_MISS) / 2),
    "slices": (slices, 0.0),
}


def coverage(kind: str, n_patients: int, *, n_trials: int, n_resamples: int) -> dict[str, float]:
    """Return the part of the trials in which each interval holds the true mean."""
    draw, true = KINDS[kind]
    rng = np.random.default_rng([sum(map(ord, kind)), n_patients])
    held = dict.fromkeys(("ours", "percentile", "bca"), 0)
    for trial in range(n_trials):
        sample = draw(rng, n_patients)
        bounds = {"ours": bootstrap_interval(*sample, Resampling(n_resamples=n_resamples, seed=trial))}
        for method in ("percentile", "bca"):
            found = bootstrap(
                sample,
                lambda sums, counts, axis=-1: sums.sum(axis) / counts.sum(axis),
                n_resamples=n_resamples,
                paired=True,
                method=method,
                random_state=np.random.default_rng(trial),
            )
            bounds[method] = tuple(found.confidence_interval)
        for method, (low, high) in bounds.items():
            held[method] += low <= true <= high
    return {method: count / n_trials for method, count in held.items()}


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, {options.trials} trials, {options.resamples} resamples")
    print("differences,patients,ours,percentile,bca")
    for kind in KINDS:
        for n_patients in N_PATIENTS:
            found = coverage(kind, n_patients, n_trials=options.trials, n_resamples=options.resamples)
            print(f"{kind},{n_patients},{','.join(f'{part:.3f}' for part in found.values())}", flush=True)


if __name__ == "__main__":
    main()
