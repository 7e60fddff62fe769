"""The images to train on, converted, preprocessed and planned once for all runs."""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.demo.lesions import write_isic_folder
from nnunet_mamba.demo.steps import program
from nnunet_mamba.system.nnunet_folders import dataset_number
from nnunet_mamba.training.plans_names import plans_name
from stock_runs.checkouts import FOLDERS, Checkout
from stock_runs.watched_process import run

NUMBER, NAME = 902, "Epoch"
SIDE = 256


@dataclass(frozen=True)
class PlannedData:
    """nnU-Net's folders with one data set and the plans of our trainers.

    Args:
        root: holds nnUNet_raw and nnUNet_preprocessed.
        dataset: name of the data set's folder.
    """

    root: Path
    dataset: str

    @property
    def number(self) -> int:
        """Of the data set."""
        return dataset_number(self.dataset) or NUMBER

    def plan(self, trainer: str) -> dict[str, Any]:
        """Return the planned configuration of a trainer, with its batch_size and patch_size."""
        file = self.root / "nnUNet_preprocessed" / self.dataset / f"{plans_name(trainer, 'nnUNetPlans')}.json"
        configuration: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["configurations"]["2d"]
        return configuration

    def training_root(self, folder: Path) -> Path:
        """Make a folder beside whose own results lie links to the data; return it."""
        for name in FOLDERS[:2]:
            (folder / name).symlink_to(self.root / name, target_is_directory=True)
        (folder / FOLDERS[2]).mkdir()
        return folder


def planned_data(
    root: Path,
    checkout: Checkout,
    *,
    source: Path | None,
    n_cases: int,
    trainers: Sequence[str],
    batch_size: int | None,
) -> PlannedData:
    """Convert, preprocess and plan whatever is not yet there.

    Args:
        root: gets nnU-Net's folders; what an earlier run prepared there is used again.
        checkout: whose commands convert and plan.
        source: a data set as nnU-Net has it, a folder with images/ and masks/, or ISIC's; None for drawn photographs.
        n_cases: photographs to draw.
        trainers: to plan for, without a budget.
        batch_size: of all plans; None for what fits.

    Raises:
        RuntimeError: a command failed; the text has its last lines.
        ValueError: plans of an earlier run have another batch.
    """
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    raw = root / "nnUNet_raw"
    if not any(raw.glob("Dataset*/dataset.json")):
        _convert(root, checkout, source, n_cases)
    data = PlannedData(root, next(raw.glob("Dataset*/dataset.json")).parent.name)
    preprocessed = root / "nnUNet_preprocessed" / data.dataset
    number = str(data.number)
    if not (preprocessed / "nnUNetPlans_2d").is_dir():
        jobs = str(os.cpu_count() or 1)
        options = ("-c", "2d", "-npfp", jobs, "-np", jobs)
        _run(root, checkout, "nnUNetv2_plan_and_preprocess", "-d", number, *options)
    missing = [name for name in trainers if not (preprocessed / f"{plans_name(name, 'nnUNetPlans')}.json").is_file()]
    if missing:
        # The command trains a few steps in processes of its own.
        options = ("--trainers", ",".join(missing), "--configuration", "2d", "--device", "cpu", "--no-progress")
        by_hand = () if batch_size is None else ("--batch-size", str(batch_size))
        _run(root, checkout, "nnunet-mamba", "plan", number, *options, *by_hand)
    for name in trainers:
        planned = data.plan(name)["batch_size"]
        if batch_size not in (None, planned):
            raise ValueError(
                f"{root} has plans with batches of {planned} for {name}, not {batch_size}: take another folder"
            )
    return data


def _convert(root: Path, checkout: Checkout, source: Path | None, n_cases: int) -> None:
    raw = root / "nnUNet_raw"
    if source is not None and (source / "dataset.json").is_file():
        name = source.name if re.match(r"Dataset\d{3}_", source.name) else f"Dataset{NUMBER}_{NAME}"
        (raw / name).symlink_to(source.resolve(), target_is_directory=True)
        return
    options = ("--output", str(raw), "--dataset-id", str(NUMBER), "--name", NAME, "--no-progress")
    if source is not None and (source / "masks").is_dir():
        _run(root, checkout, "nnunet-mamba", "convert", "folder", str(source), *options)
        return
    where = [source]
    if source is None:
        where = list(write_isic_folder(root / "photographs", n_cases=n_cases, seed=0, progress=False))
    _run(root, checkout, "nnunet-mamba", "convert", "isic", *map(str, where), "--size", str(SIDE), *options)


def _run(root: Path, checkout: Checkout, name: str, *arguments: str) -> None:
    """Run a command; what it prints goes into preparation.txt, and to standard error if it fails."""
    print(f"{name} {' '.join(arguments)}", file=sys.stderr, flush=True)
    output = root / "preparation.txt"
    run([program(name), *arguments], checkout.environment(root), output=output)
