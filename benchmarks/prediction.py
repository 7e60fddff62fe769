"""Measure nnunet-mamba predict against nnUNetv2_predict, against the bare network, and how soon it is ready.

    python benchmarks/prediction.py --model FOLDER [--images FOLDER] [--turns 3] [--limit 250]

``--model`` is a folder of nnU-Net's results, ``DATASET/TRAINER__PLANS__CONFIGURATION`` with a finished fold 0, of a 2D
network for photographs that were converted to 256×256. Without ``--images``, photographs of that size are drawn.

Prints comma-separated rows; only the ratios of one run are comparable.

- commands: seconds from the start of a process to its last file, with mirrored copies and without, in turns. Both get
  the same PNG files and write the same masks; ``different_pixels`` counts where they do not.
- start: a process that only imports torch, and one that predicts a single photograph, kernels compiled before.
- warm: a predictor in memory, beside the bare passes of its network over the same pixels in batches of eight.
- memory: the peak of a process that predicts 250 images, and of one that predicts four times as many.

The machine should be idle: nnU-Net starts several processes, and this measures how all of them share it.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import machine, medians

import nnunet_mamba
from nnunet_mamba.demo.lesions import draw_photograph
from nnunet_mamba.demo.steps import program
from nnunet_mamba.results.trained_model import TrainedModel

SIDE = 256
BATCH = 8


def drawn(folder: Path, n: int) -> Path:
    """Draw photographs."""
    folder.mkdir()
    for number in range(n):
        Image.fromarray(draw_photograph(seed=0, number=number, shape=(SIDE, SIDE)).image).save(
            folder / f"photograph_{number:04d}.png"
        )
    return folder


def named_for_nnunet(images: Path, folder: Path, limit: int) -> Path:
    """Copy photographs as RGB files of 256×256, called as nnU-Net calls them."""
    folder.mkdir()
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".png", ".jpg"))
    for path in files[:limit]:
        picture = Image.open(path).convert("RGB")
        if picture.size != (SIDE, SIDE):
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(folder / f"{path.stem}_0000.png")
    return folder


def seconds_of(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, int]:
    """Return the seconds that a command takes, and the most memory of one of its processes in MiB."""
    start = time.perf_counter()
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}")
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def different_pixels(first: Path, second: Path) -> tuple[int, int]:
    """Return how many pixels of two folders of masks differ, 255 counting as 1, and how many there are."""
    different = total = 0
    for path in sorted(first.glob("*.png")):
        one, other = (np.asarray(Image.open(folder / path.name)) > 0 for folder in (first, second))
        different += int((one != other).sum())
        total += one.size
    return different, total


def commands(model: TrainedModel, images: Path, work: Path, turns: int) -> None:
    """Print the rows of both commands."""
    name = model.name
    environment = {
        **os.environ,
        "nnUNet_results": str(model.folder.parent.parent),
        "nnUNet_raw": str(work / "raw"),
        "nnUNet_preprocessed": str(work / "preprocessed"),
    }
    stock = [program("nnUNetv2_predict"), "-i", str(images), "-d", model.dataset, "-c", name.configuration]
    stock += ["-tr", name.trainer, "-p", name.plans, "-f", "0", "-device", "cpu"]
    ours = [program("nnunet-mamba"), "predict", str(images), "-m", str(model.folder), "-f", "0", "--device", "cpu"]
    print("commands,mirroring,images,nnunet_s,ours_s,nnunet/ours,different_pixels,pixels")
    n_images = len(list(images.iterdir()))
    for mirroring in (False, True):
        found: dict[str, list[float]] = {"stock": [], "ours": []}
        for turn in range(turns):
            for way, command in (("stock", stock), ("ours", ours)):
                output = work / f"{way}-{mirroring}-{turn}"
                option = [] if mirroring else ["--disable_tta" if way == "stock" else "--no-mirroring"]
                found[way].append(seconds_of([*command, "-o", str(output), *option], environment)[0])
        theirs, own = (statistics.median(found[way]) for way in ("stock", "ours"))
        different, total = different_pixels(work / f"stock-{mirroring}-0", work / f"ours-{mirroring}-0")
        print(
            f"commands,{mirroring},{n_images},{theirs:.1f},{own:.1f},{theirs / own:.2f},{different},{total}", flush=True
        )


def start(model: TrainedModel, images: Path, work: Path, turns: int) -> None:
    """Print how soon a new process has its first mask."""
    first = next(images.iterdir())
    imports, masks = [], []
    for turn in range(turns):
        imports.append(seconds_of([sys.executable, "-c", "import torch"], os.environ)[0])
        command = [program("nnunet-mamba"), "predict", str(first), "-m", str(model.folder), "--device", "cpu"]
        masks.append(seconds_of([*command, "-o", str(work / f"first-{turn}")], os.environ)[0])
    ready, imported = statistics.median(masks), statistics.median(imports)
    print("start,import_torch_s,first_mask_s,ratio")
    print(f"start,{imported:.2f},{ready:.2f},{ready / imported:.2f}", flush=True)


def warm(model: TrainedModel, images: Path, repeats: int) -> None:
    """Print what a predictor in memory takes beside its network."""
    pictures = [np.asarray(Image.open(path)) for path in sorted(images.iterdir())]
    print("warm,mirroring,images,predictor_ms_per_image,passes_ms_per_image,ratio")
    for mirroring in (False, True):
        predictor = nnunet_mamba.Predictor.from_results(model.folder, folds=[0], device="cpu", mirroring=mirroring)
        network = predictor.engine._networks._networks[0]
        copies = 4 if mirroring else 1

        def passes(n: int, batch: int, network: torch.nn.Module = network, copies: int = copies) -> None:
            images = torch.randn(batch, 3, SIDE, SIDE)
            with torch.inference_mode():
                for _ in range(n * copies // batch):
                    network(images)

        several = medians(
            {
                "predictor": (lambda predictor=predictor: predictor.predict(pictures), 1),
                "passes": (lambda passes=passes: passes(len(pictures), BATCH), 1),
            },
            repeats,
        )
        alone = medians(
            {
                "predictor": (lambda predictor=predictor: predictor.predict(pictures[0]), 10),
                "passes": (lambda passes=passes, copies=copies: passes(1, copies), 10),
            },
            repeats,
        )
        for n, found in ((len(pictures), several), (1, alone)):
            times = found["predictor"] / n, found["passes"] / n
            print(f"warm,{mirroring},{n},{times[0]:.2f},{times[1]:.2f},{times[0] / times[1]:.2f}", flush=True)


def memory(model: TrainedModel, images: Path, work: Path) -> None:
    """Print the peak of processes that predict more and more images."""
    print("memory,images,peak_mib")
    files = sorted(images.iterdir())
    for copies in (1, 4):
        folder = work / f"copies-{copies}"
        folder.mkdir()
        for copy in range(copies):
            for file in files:
                shutil.copy(file, folder / f"{copy}_{file.name}")
        command = [program("nnunet-mamba"), "predict", str(folder), "-m", str(model.folder), "--device", "cpu"]
        _, peak = seconds_of([*command, "-o", str(work / f"masks-{copies}"), "--no-mirroring"], os.environ)
        print(f"memory,{copies * len(files)},{peak}", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="TRAINER__PLANS__CONFIGURATION of nnU-Net's results")
    parser.add_argument("--images", type=Path, help="folder of photographs; drawn if left out")
    parser.add_argument("--turns", type=int, default=3, help="runs whose median counts")
    parser.add_argument("--limit", type=int, default=250, help="images")
    options = parser.parse_args()
    print(machine())
    model = TrainedModel.of(options.model.resolve())
    with tempfile.TemporaryDirectory(prefix="prediction_") as temporary:
        work = Path(temporary)
        source = options.images or drawn(work / "drawn", options.limit)
        images = named_for_nnunet(source, work / "images", options.limit)
        memory(model, images, work)
        start(model, images, work, options.turns)
        warm(model, images, options.turns)
        commands(model, images, work, options.turns)


if __name__ == "__main__":
    main()
