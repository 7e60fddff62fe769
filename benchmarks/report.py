"""Measure how long nnunet-mamba report takes for many trainings, folds and cases, and how large its page is.

    python benchmarks/report.py [--cases 300] [--epochs 1000] [--trainers A,B]

Draws photographs of lesions, lets nnU-Net prepare them, and writes five folds of each trainer as a finished training
leaves them: masks made of the true ones by moving and growing them, nnU-Net's own summaries of these masks, and logs of
as many epochs. Nothing is trained. Then the report of all, with distances, costs and published rows.

Prints comma-separated rows. ``cpu_s`` counts all processes and tells more than ``wall_s`` on a machine that has other
work.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, save_summary_json
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from PIL import Image
from scipy import ndimage
from stock_runs.checkouts import FOLDERS, Checkout
from stock_runs.planned_data import PlannedData, planned_data
from stock_runs.watched_process import run
from timing import machine

from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.demo.steps import program
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import ModelName, fold_name, validation_summary

TRAINERS = ("UltraLightVM", "UltraLightVMNoMamba", "UltraLBM", "UltraLBMT", "UltraLightVMv1")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=1000, help="of every log")
    parser.add_argument("--trainers", default=",".join(f"nnUNetTrainer{name}" for name in TRAINERS))
    options = parser.parse_args()
    print(machine())
    checkout = Checkout("here", Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory(prefix="report_") as temporary:
        root = Path(temporary)
        data = planned_data(root, checkout, source=None, n_cases=options.cases, trainers=(), batch_size=None)
        trainers = options.trainers.split(",")
        n_masks = sum(write_training(data, name, options.epochs, seed) for seed, name in enumerate(trainers))
        page = root / "report.html"
        command = [program("nnunet-mamba"), "report", str(data.number), "-c", "2d", "-o", str(page), "--no-progress"]
        before = os.times()
        run([*command, "--papers", "isic17"], checkout.environment(root), output=root / "output.txt")
        after = os.times()
        files = sorted(path for path in page.with_name("report_files").rglob("*") if path.is_file())
        print("trainers,masks,epochs,wall_s,cpu_s,page_mb,files,files_mb")
        cpu = sum(after[:4]) - sum(before[:4])
        sizes = page.stat().st_size / 1e6, sum(path.stat().st_size for path in files) / 1e6
        print(
            f"{len(trainers)},{n_masks},{options.epochs},{after.elapsed - before.elapsed:.1f},{cpu:.1f},"
            f"{sizes[0]:.2f},{len(files)},{sizes[1]:.1f}"
        )


def write_training(data: PlannedData, trainer: str, n_epochs: int, seed: int) -> int:
    """Write the folds of a finished training; return the number of masks.

    Args:
        data: planned.
        trainer: its name.
        n_epochs: of the logs.
        seed: of what is wrong with the masks.
    """
    preprocessed = data.root / FOLDERS[1] / data.dataset
    raw = data.root / FOLDERS[0] / data.dataset
    model = (
        data.root / FOLDERS[2] / data.dataset / str(ModelName(trainer=trainer, plans="nnUNetPlans", configuration="2d"))
    )
    model.mkdir(parents=True)
    shutil.copy(preprocessed / "nnUNetPlans.json", model / "plans.json")
    shutil.copy(raw / "dataset.json", model / "dataset.json")
    rng = np.random.default_rng(seed)
    n_masks = 0
    for number, split in enumerate(read_splits(preprocessed / SPLITS_FILE)):
        fold = model / fold_name(number)
        summary = validation_summary(fold)
        summary.parent.mkdir(parents=True)
        for case in split["val"]:
            write_mask(raw / "labelsTr" / f"{case}.png", summary.parent / f"{case}.png", rng)
        write_summary(raw / "labelsTr", summary)
        # The report asks whether it is there.
        (fold / FINAL).touch()
        write_log(fold / "training_log_2026_1_1_00_00_00.txt", n_epochs, rng)
        n_masks += len(split["val"])
    return n_masks


def write_mask(truth: Path, path: Path, rng: np.random.Generator) -> None:
    """Write a mask like the true one, moved and grown or shrunk."""
    mask = np.asarray(Image.open(truth)) > 0
    moved = np.roll(mask, rng.integers(-12, 13, 2), (0, 1))
    change = ndimage.binary_dilation if rng.random() < 0.5 else ndimage.binary_erosion
    Image.fromarray(change(moved, iterations=int(rng.integers(1, 8))).astype(np.uint8)).save(path)


def write_summary(truth: Path, summary: Path) -> None:
    """Write nnU-Net's scores of the masks beside a summary."""
    masks = sorted(summary.parent.glob("*.png"))
    cases = [compute_metrics(str(truth / mask.name), str(mask), NaturalImage2DIO(), [1]) for mask in masks]
    for case in cases:
        case["metrics"][1] = {name: float(value) for name, value in case["metrics"][1].items()}
    mean = {name: float(np.mean([case["metrics"][1][name] for case in cases])) for name in cases[0]["metrics"][1]}
    save_summary_json({"metric_per_case": cases, "mean": {1: mean}, "foreground_mean": mean}, str(summary))


def write_log(path: Path, n_epochs: int, rng: np.random.Generator) -> None:
    """Write a log with the lines of nnU-Net that a report reads."""
    lines: list[str] = []
    for number, noise in enumerate(rng.normal(0, 0.02, (n_epochs, 3))):
        reached = 1 - np.exp(-5 * (number + 1) / n_epochs)
        train, validation, dice = np.array([-0.9, -0.85, 0.86]) * reached + noise
        texts = (
            f"Epoch {number}",
            f"train_loss {train:.4f}",
            f"val_loss {validation:.4f}",
            f"Pseudo dice [np.float32({dice:.4f})]",
            "Epoch time: 61.23 s",
        )
        lines += [f"2026-01-01 00:00:00.000000: {text}" for text in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
