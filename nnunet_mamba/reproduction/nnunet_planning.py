"""nnU-Net's own planning and preprocessing of a data set, in a process of its own, and whether it is done."""

import os
import subprocess
import sys
from collections import deque
from pathlib import Path

from nnunet_mamba.reproduction.experiment import PreparedData
from nnunet_mamba.results.plans import data_identifier, inherited
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.machine import usable_cores
from nnunet_mamba.system.nnunet_folders import nnunet_folder

BASE_PLANS = "nnUNetPlans"
CONFIGURATION = "2d"
_ENTRY = (
    "from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry; "
    "plan_and_preprocess_entry()"
)
_SHOWN_LINES = 15
# Each of them imports torch, which takes longer than a few images.
_MOST_PROCESSES = 8


def is_preprocessed(data: PreparedData) -> bool:
    """Return whether nnU-Net has planned a data set and preprocessed all of its cases.

    Raises:
        ValueError: its plans are damaged; names the file.
    """
    folder = nnunet_folder("nnUNet_preprocessed") / data.folder_name
    plans, dataset_json = folder / f"{BASE_PLANS}.json", folder / "dataset.json"
    if not (plans.is_file() and dataset_json.is_file()):
        return False
    configurations = read_json_object(plans).get("configurations", {})
    if CONFIGURATION not in configurations:
        return False
    identifier = data_identifier(inherited(configurations, CONFIGURATION), where=str(plans))
    # nnU-Net writes the properties of a case last.
    return len(list((folder / identifier).glob("*.pkl"))) == read_json_object(dataset_json).get("numTraining")


def plan_and_preprocess(data: PreparedData, log: Path) -> None:
    """Run nnUNetv2_plan_and_preprocess for slices.

    Args:
        data: converted.
        log: gets all that it prints.

    Raises:
        ValueError: it failed; shows its last lines and names the log.
        OSError: the log cannot be written.
    """
    processes = str(max(1, min(usable_cores(), _MOST_PROCESSES)))
    words = ["-d", str(data.number), "-c", CONFIGURATION, "-npfp", processes, "-np", processes]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        file.write(f"$ nnUNetv2_plan_and_preprocess {' '.join(words)}\n")
        file.flush()
        done = subprocess.run(
            [sys.executable, "-c", _ENTRY, *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            check=False,
        )
    if done.returncode or not is_preprocessed(data):
        with log.open(encoding="utf-8", errors="replace") as file:
            last = "".join(f"\n  {line.rstrip()}" for line in deque(filter(str.strip, file), _SHOWN_LINES))
        raise ValueError(
            f"nnUNetv2_plan_and_preprocess did not prepare {data.folder_name} (exit code {done.returncode}). The last "
            f"lines of {log}:{last}"
        )
