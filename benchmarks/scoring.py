"""Measure how long it takes to score masks with all distances, and compare with MONAI's on the same masks.

    python benchmarks/scoring.py [--masks 1000] [--processes 2]

Prints comma-separated rows. ``masks`` scores pairs of 256² masks from files, without the start of Python and of the
processes, which ``start`` measures with few masks. ``volume`` scores 13 organs in 512 x 512 x 100 voxels from files;
``distances`` are its distances alone, and ``monai`` the same three figures by MONAI, where that is installed:
compute_hausdorff_distance, compute_average_surface_distance and compute_surface_dice with subvoxels. ``cpu_s`` counts
all processes and tells more than ``wall_s`` on a machine that has other work.
"""

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from timing import machine

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.distances.label_map_distances import label_map_distances
from nnunet_mamba.evaluation.folders import evaluate_folders

LabelMap = npt.NDArray[np.uint8]

SHAPE, SPACING, N_ORGANS = (100, 512, 512), (3.0, 0.8, 0.8), 13
N_FEW = 64


def timed(name: str, task: Callable[[], object]) -> tuple[float, float]:
    """Print the wall and the CPU seconds of a task, and return them."""
    times = os.times()
    before = times.elapsed, sum(times[:4])
    task()
    times = os.times()
    seconds = times.elapsed - before[0], sum(times[:4]) - before[1]
    print(f"{name},{seconds[0]:.2f},{seconds[1]:.2f}", flush=True)
    return seconds


def lesion(rng: np.random.Generator, centre: npt.NDArray[np.float64], radius: float) -> LabelMap:
    """Return a mask of 256 x 256 with a wavy outline."""
    y, x = np.mgrid[:256, :256] - centre[:, None, None]
    angle, waves = np.arctan2(y, x), rng.uniform(0, 0.15, 4)
    reach = radius * (1 + sum(wave * np.sin((k + 2) * angle + 6 * wave) for k, wave in enumerate(waves)))
    return (np.hypot(y, x) < reach).astype(np.uint8) * 255


def write_masks(folder: Path, n_masks: int) -> None:
    """Write predictions and references."""
    rng = np.random.default_rng(0)
    for kind in ("predictions", "references"):
        (folder / kind).mkdir(parents=True)
    for number in range(n_masks):
        centre, radius = rng.uniform(90, 166, 2), rng.uniform(20, 80)
        for kind in ("predictions", "references"):
            mask = lesion(rng, centre + rng.normal(0, 2, 2), radius * rng.uniform(0.9, 1.1))
            Image.fromarray(mask).save(folder / kind / f"case_{number:04}.png")


def organs(seed: int) -> LabelMap:
    """Return a label map with 13 organs, from large to small; another seed moves them a little."""
    places, moved = np.random.default_rng(0), np.random.default_rng(seed)
    label_map = np.zeros(SHAPE, np.uint8)
    for number in range(1, N_ORGANS + 1):
        radii = np.array([32, 110, 110]) * 0.82 ** (number - 1) * moved.uniform(0.95, 1.05, 3) + 2
        centre = places.uniform(0.3, 0.7, 3) * SHAPE + moved.normal(0, [0.5, 2, 2])
        box = tuple(
            slice(max(0, int(c - r)), min(n, int(c + r) + 2)) for c, r, n in zip(centre, radii, SHAPE, strict=True)
        )
        axes = np.ogrid[box]
        inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)) < 1
        label_map[box][inside] = number
    return label_map


def write_volumes(folder: Path, predicted: LabelMap, reference: LabelMap) -> None:
    """Write a case as nnU-Net has it, with its dataset.json."""
    for kind, label_map in (("predictions", predicted), ("labelsTr", reference)):
        (folder / kind).mkdir(parents=True)
        image = nibabel.Nifti1Image(label_map.transpose(2, 1, 0), np.diag([*SPACING[::-1], 1.0]))
        nibabel.save(image, folder / kind / "case.nii.gz")
    names = ", ".join(f'"organ {number}": {number}' for number in range(1, N_ORGANS + 1))
    text = f'{{"labels": {{"background": 0, {names}}}, "file_ending": ".nii.gz", "channel_names": {{"0": "CT"}}}}'
    (folder / "dataset.json").write_text(text, encoding="utf-8")


def by_monai(predicted: LabelMap, reference: LabelMap) -> None:
    """Measure HD95, ASSD and NSD of all organs with MONAI, one organ at a time, whose memory a laptop has."""
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    for number in range(1, N_ORGANS + 1):
        one, other = (torch.from_numpy(label_map == number)[None, None] for label_map in (predicted, reference))
        compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=SPACING)
        compute_average_surface_distance(one, other, include_background=True, symmetric=True, spacing=SPACING)
        compute_surface_dice(one, other, [1.0], include_background=True, spacing=SPACING, use_subvoxels=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, default=1000, help="pairs of 256 x 256 masks")
    parser.add_argument("--processes", type=int, default=2, help="that score masks")
    arguments = parser.parse_args()
    measure = DistanceMeasure()
    print(machine())
    print("part,wall_s,cpu_s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # This process imports nnU-Net first, and the processes that it starts do so each time.
        sizes = {"import": 1, "start": N_FEW, "all": arguments.masks}
        seconds = {}
        for part, n_masks in sizes.items():
            write_masks(folder / part, n_masks)
            places = folder / part / "predictions", folder / part / "references"
            seconds[part] = timed(
                part, lambda places=places: evaluate_folders(*places, processes=arguments.processes, distances=measure)
            )
        scale = arguments.masks / max(arguments.masks - N_FEW, 1)
        wall, cpu = ((seconds["all"][i] - seconds["start"][i]) * scale for i in (0, 1))
        print(f"masks,{wall:.2f},{cpu:.2f}", flush=True)
        predicted, reference = organs(1), organs(2)
        write_volumes(folder / "volume", predicted, reference)
        places = folder / "volume" / "predictions", folder / "volume" / "labelsTr"
        timed("volume", lambda: evaluate_folders(*places, processes=1, distances=measure))
    labels = tuple(range(1, N_ORGANS + 1))
    ours = timed(
        "distances", lambda: label_map_distances(predicted, reference, labels, measure=measure, spacing=SPACING)
    )
    if importlib.util.find_spec("monai") is None:
        print("monai is not installed; it is compared where it is")
        return
    monai = timed("monai", lambda: by_monai(predicted, reference))
    print(f"monai / distances,{monai[0] / ours[0]:.1f},{monai[1] / ours[1]:.1f}")


if __name__ == "__main__":
    main()
