"""What the network of a trained model costs: parameters, operations, and the time that one patch takes here."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn

from nnunet_mamba.models.needed_plans import n_input_channels
from nnunet_mamba.models.nnunet.results_reading import read_results
from nnunet_mamba.networks.complexity import Complexity, measure_complexity
from nnunet_mamba.prediction.networks import trained_networks

# A large patch is not measured until it is known to three digits.
_MOST_SECONDS = 10.0
_RUNS = 9


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """What was counted and measured for one patch of a model, as its plans have it.

    Args:
        complexity: parameters and operations.
        latency_ms: median of some passes of one patch in evaluation, after one that does not count.
        image_shape: of the patch, (c, *spatial).
    """

    complexity: Complexity
    latency_ms: float
    image_shape: tuple[int, ...]


def measure_cost(results: Path, *, fold: int | str) -> NetworkCost:
    """Count and measure the network of a training on the CPU.

    Args:
        results: ``TRAINER__PLANS__CONFIGURATION`` in nnU-Net's results.
        fold: whose weights are loaded.

    Raises:
        OSError: a file of the model is missing.
        ValueError: a file is damaged, or nnU-Net does not find the trainer.
        ModuleNotFoundError: the network needs a package that is not installed.
    """
    model = read_results(results, folds=[fold])
    network = trained_networks(model)[0]
    description = model.description
    labels = description.labels
    n_channels = len(description.planned["normalization_schemes"])
    shape = (n_input_channels(n_channels, labels, description.planned), *description.patch_size)
    return NetworkCost(
        complexity=measure_complexity(network, shape), latency_ms=_latency(network, shape), image_shape=shape
    )


def _latency(network: nn.Module, shape: tuple[int, ...]) -> float:
    """Return milliseconds of a pass over one patch."""
    patch = torch.zeros(1, *shape)
    found: list[float] = []
    with torch.inference_mode():
        network(patch)
        began = time.perf_counter()
        while len(found) < _RUNS and (not found or time.perf_counter() - began < _MOST_SECONDS):
            start = time.perf_counter()
            network(patch)
            found.append(1e3 * (time.perf_counter() - start))
    return median(found)
