"""How tests share the cores, and a tiny data set that stock nnU-Net has planned, shared by everything that trains."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.system import allocator
from nnunet_mamba.system.file_lock import FileLock
from nnunet_mamba.system.machine import available_memory, usable_cores

DATASET = "Dataset901_Tiny"
# Of a worker that has met every network, with the processes that it starts.
MEMORY_OF_A_WORKER = 4 * 2**30


def pytest_configure() -> None:
    """Hear Ctrl-C, and share the cores between the workers of pytest-xdist before torch starts its threads."""
    # A shell that starts the tests in the background lets them and their processes ignore it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    n_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if n_workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // n_workers)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return how many workers ``-n auto`` starts: one for each core, as many as fit into memory; 0 is none."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    memory = available_memory()
    n_workers = usable_cores() if memory is None else min(usable_cores(), memory // MEMORY_OF_A_WORKER)
    return n_workers if n_workers > 1 else 0


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


@pytest.fixture(autouse=True)
def _fresh_compiler():
    """Let no test find what another has compiled: after two sizes, the compiler takes every size to vary."""
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


@pytest.fixture(scope="session", autouse=True)
def _freed_memory_is_given_back():
    """Trainers in this process would keep what they free for as long as it lives, and other tests measure memory.

    For the session, because trainers of larger fixtures are older than what a single test patches.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocator, "_glibc", lambda: None)
        yield


@pytest.fixture
def nnunet_folders(tmp_path: Path) -> NnunetFolders:
    """nnU-Net's three folders, empty."""
    folders = NnunetFolders(tmp_path / "nnunet")
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (folders.root / name).mkdir(parents=True)
    return folders


@pytest.fixture(scope="session")
def once_for_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """A function that returns a folder which the first worker to ask for its name has filled; none may change it."""
    # The folders of all workers lie in the one of the run.
    own = tmp_path_factory.getbasetemp()
    run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def once(name: str, fill: Callable[[Path], None]) -> Path:
        folder = run / f"{name}_of_all_workers"
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                unfinished = folder.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                fill(unfinished)
                unfinished.rename(folder)
        return folder

    return once


def _plan_tiny_dataset(root: Path) -> None:
    folders = NnunetFolders(root)
    write_tiny_raw_dataset(root / "nnUNet_raw" / DATASET)
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        (root / name).mkdir()
    process = folders.run(
        "nnUNetv2_plan_and_preprocess", "-d", "901", "-c", "2d", "-npfp", "1", "-np", "1", nnUNet_n_proc_DA="1"
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.fixture(scope="session")
def _planned(once_for_all_workers: Callable[[str, Callable[[Path], None]], Path]) -> NnunetFolders:
    return NnunetFolders(once_for_all_workers("nnunet", _plan_tiny_dataset))


@pytest.fixture
def planned(_planned: NnunetFolders, tmp_path: Path) -> NnunetFolders:
    """A private copy of the planned data set, so that tests may train and change its files."""
    shutil.copytree(_planned.root, tmp_path / "nnunet")
    return NnunetFolders(tmp_path / "nnunet")


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """What writes a folder of nnU-Net's results for a trainer, with random weights, and returns it."""
    from trained_models import write_results

    def write(trainer: str = "nnUNetTrainerUltraLightVM", **options) -> Path:
        return write_results(trainer, tmp_path / "nnUNet_results", **options)

    return write


@pytest.fixture
def packed(trained: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """What writes a bundle of a model with random weights, an archive if its name ends in .zip, and returns it."""
    from nnunet_mamba.models.packing import pack_model

    def pack(name: str = "model.zip", trainer: str = "nnUNetTrainerUltraLightVM", **options) -> Path:
        return pack_model(trained(trainer, **options), tmp_path / name)

    return pack
