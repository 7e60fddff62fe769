"""nnU-Net's own planning and preprocessing of a data set, in a process of its own, and whether it is done."""

import json
import os
import subprocess
import sys
from collections import deque
from hashlib import sha256
from pathlib import Path

from nnunet_mamba.data.writing.conversion_record import read_conversion_record
from nnunet_mamba.reproduction.experiment import PreparedData
from nnunet_mamba.results.plans import data_identifier, inherited
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.machine import usable_cores
from nnunet_mamba.system.nnunet_folders import nnunet_folder

BASE_PLANS = "nnUNetPlans"
CONFIGURATION = "2d"
# Beside the plans: which conversion they are of.
_DIGEST_FILE = "nnunet_mamba_conversion_digest.txt"
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
        ValueError: its plans are damaged, which names the file; or it was preprocessed from another conversion.
    """
    folder = nnunet_folder("nnUNet_preprocessed") / data.folder_name
    kept = folder / _DIGEST_FILE
    # Data that are not converted yet, as for an estimate, are none that could differ.
    if kept.is_file() and (digest := _digest_of_conversion(data)) not in ("", kept.read_text(encoding="utf-8").strip()):
        raise ValueError(
            f"{folder} was preprocessed from another conversion than {nnunet_folder('nnUNet_raw') / data.folder_name} "
            f"({digest[:12]}); {way_out(data)}"
        )
    plans, dataset_json = folder / f"{BASE_PLANS}.json", folder / "dataset.json"
    if not (plans.is_file() and dataset_json.is_file()):
        return False
    configurations = read_json_object(plans).get("configurations", {})
    if CONFIGURATION not in configurations:
        return False
    identifier = data_identifier(inherited(configurations, CONFIGURATION), where=str(plans))
    n_cases = read_json_object(dataset_json).get("numTraining")
    # nnU-Net writes the properties of a case last, and copies the masks that validations are scored with after all.
    n_masks = len([file for file in (folder / "gt_segmentations").glob("*") if not file.name.startswith(".")])
    return len(list((folder / identifier).glob("*.pkl"))) == n_cases == n_masks


def way_out(data: PreparedData) -> str:
    """Return what to do where the folders of a data set hold something else than this run makes."""
    return (
        f"remove {data.folder_name} from all three of nnU-Net's folders (nnUNet_raw, nnUNet_preprocessed and "
        "nnUNet_results), or set these variables to other folders"
    )


def _digest_of_conversion(data: PreparedData) -> str:
    """Return a digest of what decides the files of a conversion; "" without a record of one."""
    record = read_conversion_record(nnunet_folder("nnUNet_raw") / data.folder_name)
    if record is None:
        return ""
    told = [record.converter, record.revision, record.options, record.cases, sorted(record.skipped)]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


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
    kept = nnunet_folder("nnUNet_preprocessed") / data.folder_name / _DIGEST_FILE
    if not done.returncode and kept.parent.is_dir():
        with replacing(kept) as part:
            part.write_text(f"{_digest_of_conversion(data)}\n", encoding="utf-8")
    if done.returncode or not is_preprocessed(data):
        with log.open(encoding="utf-8", errors="replace") as file:
            last = "".join(f"\n  {line.rstrip()}" for line in deque(filter(str.strip, file), _SHOWN_LINES))
        raise ValueError(
            f"nnUNetv2_plan_and_preprocess did not prepare {data.folder_name} (exit code {done.returncode}). The last "
            f"lines of {log}:{last}"
        )
