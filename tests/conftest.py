"""A tiny data set that stock nnU-Net has planned and preprocessed, shared by everything that trains."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DATASET = "Dataset901_Tiny"


@dataclass(frozen=True)
class NnunetFolders:
    """nnU-Net's three folders and how to run its commands on them."""

    root: Path

    @property
    def dataset(self) -> str:
        return DATASET

    @property
    def results(self) -> Path:
        return self.root / "nnUNet_results"

    @property
    def preprocessed(self) -> Path:
        return self.root / "nnUNet_preprocessed" / DATASET

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a new process: these folders, few workers, and nothing of the caller's nnU-Net."""
        kept = {k: v for k, v in os.environ.items() if not k.lower().startswith(("nnunet", "nnunet_mamba"))}
        folders = {name: str(self.root / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
        processes = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "OMP_WAIT_POLICY": "passive"}
        return {**kept, **folders, **processes, **variables}

    def run(self, command: str, *arguments: str, python: str = sys.executable, **variables: str):
        """Run one of nnU-Net's own commands in a fresh process and return it, finished."""
        script = Path(sys.executable).parent / command
        return subprocess.run(
            [python, str(script), *arguments],
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )


def write_tiny_raw_dataset(folder: Path, *, n_cases: int = 10, shape: tuple[int, int] = (52, 60)) -> None:
    """Write bright discs on a dark ground in nnU-Net's raw layout; ``shape`` is no multiple of 32."""
    rng = np.random.default_rng(0)
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    y, x = np.mgrid[: shape[0], : shape[1]]
    for index in range(n_cases):
        centre, radius = rng.uniform(15, 35, 2), rng.uniform(8, 14)
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        image = rng.normal(80, 10, (*shape, 3)) + 90 * disc[..., None]
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"imagesTr/disc_{index:02d}_0000.png")
        Image.fromarray(disc.astype(np.uint8)).save(folder / f"labelsTr/disc_{index:02d}.png")
    dataset = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "disc": 1},
        "numTraining": n_cases,
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(dataset))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Hear Ctrl-C: a shell that starts the tests in the background lets them and their processes ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def nnunet_folders(tmp_path: Path) -> NnunetFolders:
    """nnU-Net's three folders, empty."""
    folders = NnunetFolders(tmp_path / "nnunet")
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (folders.root / name).mkdir(parents=True)
    return folders


@pytest.fixture(scope="session")
def _planned(tmp_path_factory: pytest.TempPathFactory) -> NnunetFolders:
    folders = NnunetFolders(tmp_path_factory.mktemp("nnunet"))
    write_tiny_raw_dataset(folders.root / "nnUNet_raw" / DATASET)
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        (folders.root / name).mkdir()
    process = folders.run(
        "nnUNetv2_plan_and_preprocess", "-d", "901", "-c", "2d", "-npfp", "1", "-np", "1", nnUNet_n_proc_DA="1"
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return folders


@pytest.fixture
def planned(_planned: NnunetFolders, tmp_path: Path) -> NnunetFolders:
    """A private copy of the planned data set, so that tests may train and change its files."""
    shutil.copytree(_planned.root, tmp_path / "nnunet")
    return NnunetFolders(tmp_path / "nnunet")
