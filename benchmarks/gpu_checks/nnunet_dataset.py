"""A drawn data set in temporary folders of nnU-Net's, planned by nnU-Net's own command."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from gpu_checks.checks import SkipCheck
from gpu_checks.supervision import BENCHMARKS

NUMBER, NAME = 901, "Dataset901_GpuCheck"
N_CASES, SHAPE = 10, (96, 80)
_ENTRIES = {
    "nnUNetv2_plan_and_preprocess": "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints:"
    "plan_and_preprocess_entry",
    "nnUNetv2_train": "nnunetv2.run.run_training:run_training_entry",
}
_ERROR_LINES = 40


def require_nnunet() -> None:
    """Skip the check where nnU-Net is not installed."""
    from importlib.util import find_spec

    if find_spec("nnunetv2") is None:
        raise SkipCheck("nnunetv2 is not installed")


@cache
def nnunet_root() -> Path:
    """Make the folders that this process and the commands it starts take for nnU-Net's, and return their root."""
    root = Path(tempfile.mkdtemp(prefix="nnunet_"))
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (root / name).mkdir()
        os.environ[name] = str(root / name)
    # The checkout's trainers, and none that an installed copy would add.
    trainers = {"nnUNet_extTrainer": str(BENCHMARKS.parent / "trainers"), "NNUNET_MAMBA_NO_STARTUP": "1"}
    # One process to preprocess with: planning does not take 0. Augmentation stays in the process that trains.
    os.environ |= {**trainers, "nnUNet_def_n_proc": "1", "nnUNet_n_proc_DA": "1", "nnUNet_compile": "f"}
    return root


@cache
def planned_folder() -> Path:
    """Draw the data set, let nnU-Net plan and preprocess it, and return the preprocessed folder."""
    root = nnunet_root()
    _draw(root / "nnUNet_raw" / NAME)
    options = ("-d", str(NUMBER), "-c", "2d", "-npfp", "1", "-np", "1", "--verify_dataset_integrity")
    run_command("nnUNetv2_plan_and_preprocess", *options)
    return root / "nnUNet_preprocessed" / NAME


def run_command(command: str, *arguments: str, **variables: str) -> str:
    """Run a command of nnU-Net in a process of its own and return what it printed.

    Raises:
        RuntimeError: it failed; the text is its last line.
    """
    module, function = _ENTRIES[command].split(":")
    code = f"from {module} import {function}; {function}()"
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    said = run.stdout + run.stderr
    if run.returncode:
        lines = said.strip().splitlines() or ["it said nothing"]
        # On the part's own stream, which is kept.
        print(*lines[-_ERROR_LINES:], sep="\n", flush=True)
        raise RuntimeError(f"{command} ended with {run.returncode}: {lines[-1]}")
    return said


def trainer(name: str, device: str, *, precision: str) -> Any:
    """Return an initialised trainer of the drawn data set, in this process.

    Args:
        name: of the trainer.
        device: that trains.
        precision: "bf16" or "fp16"; a CPU trains in float32 whatever it is.
    """
    import torch

    folder = planned_folder()
    os.environ["NNUNET_MAMBA_PRECISION"] = precision
    from nnunet_mamba.planning.trainer_lookup import trainer_class

    plans = json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8"))
    dataset_json = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    arguments = ({**plans, "continue_training": False}, "2d", 0, dataset_json, torch.device(device))
    made = trainer_class(name)(*arguments)
    made.initialize()
    made.network.train()
    return made


def _draw(folder: Path) -> None:
    """Write bright discs on a dark ground."""
    import numpy as np
    from skimage.io import imsave

    numbers = np.random.default_rng(0)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for index in range(N_CASES):
        centre, radius = numbers.uniform(25, 55, 2), numbers.uniform(10, 20)
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        image = numbers.normal(80, 10, SHAPE) + 90 * disc
        pixels = image.clip(0, 255).astype(np.uint8)
        imsave(folder / f"imagesTr/disc_{index:02d}_0000.png", pixels, check_contrast=False)
        imsave(folder / f"labelsTr/disc_{index:02d}.png", disc.astype(np.uint8), check_contrast=False)
    content = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "disc": 1},
        "numTraining": N_CASES,
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
