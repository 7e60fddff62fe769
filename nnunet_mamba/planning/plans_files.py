"""nnU-Net's plans files of a data set: finding the one to begin with, writing those for our trainers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

from nnunet_mamba import __version__
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.system.nnunet_folders import dataset_number, nnunet_folder
from nnunet_mamba.training.plans_checks import refuse_senseless_dataset, refuse_senseless_plans
from nnunet_mamba.training.plans_names import MARK

# What planning needs of a configuration.
_NEEDED = ("batch_size", "patch_size", "spacing", "median_image_size_in_voxels", "architecture")
# What planning decides of it; all else is the base plans' and belongs to the preprocessed data.
_DECIDED = ("batch_size", "patch_size", "architecture")


@dataclass(frozen=True, kw_only=True)
class BasePlans:
    """A data set's plans as nnU-Net wrote them.

    Args:
        folder: of the preprocessed data set.
        plans: content of the plans file.
        dataset_json: content of dataset.json.
    """

    folder: Path
    plans: dict[str, Any]
    dataset_json: dict[str, Any]

    @property
    def name(self) -> str:
        """What nnU-Net's ``-p`` calls them."""
        return str(self.plans["plans_name"])

    @property
    def configurations(self) -> Mapping[str, dict[str, Any]]:
        """The configurations by name."""
        configurations: Mapping[str, dict[str, Any]] = self.plans["configurations"]
        return configurations

    def n_axes(self, configuration: str) -> int:
        """Return the number of axes of a configuration's patches."""
        return len(self.configurations[configuration]["patch_size"])


def read_base_plans(dataset: str, name: str) -> BasePlans:
    """Read the plans of a data set.

    Args:
        dataset: id or name, as nnU-Net takes it.
        name: of the plans file, without ending.

    Raises:
        ValueError: there is no such data set, or its plans or dataset.json lack what planning needs.
        FileNotFoundError: it has no such plans; says how to make them.
    """
    root = nnunet_folder("nnUNet_preprocessed")
    try:
        dataset_name = maybe_convert_to_dataset_name(dataset)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"There is no data set {dataset!r} in {root}; pass the id or name of one there") from error
    folder = root / dataset_name
    file = folder / f"{name}.json"
    if not file.is_file():
        planner = re.fullmatch(r"nnUNetResEncUNet(M|L|XL)Plans", name)
        option = f" -pl nnUNetPlannerResEnc{planner[1]}" if planner else ""
        # nnU-Net's command takes the number alone.
        number = dataset_number(dataset_name) or dataset_name
        raise FileNotFoundError(
            f"{file} does not exist. Make nnU-Net's plans first: nnUNetv2_plan_and_preprocess -d {number}{option}"
        )
    plans = read_json_object(file)
    dataset_json = read_json_object(folder / "dataset.json", unique_names=True)
    configurations = plans.get("configurations")
    for configuration in configurations if isinstance(configurations, dict) and configurations else [""]:
        # Those that inherit are not planned anew, but nnU-Net reads them too.
        refuse_senseless_plans(plans, configuration, where=str(file), needs=_NEEDED)
    if plans["plans_name"] != name:
        raise ValueError(f'{file} has "plans_name": "{plans["plans_name"]}", expected "{name}"; correct the entry')
    refuse_senseless_dataset(dataset_json, where=str(folder / "dataset.json"), counts_cases=True)
    return BasePlans(folder=folder, plans=plans, dataset_json=dataset_json)


def merged_plans(
    base: BasePlans, name: str, planned: Mapping[str, Mapping[str, Any]], origins: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the base plans with the planned configurations in them.

    Configurations that an earlier run planned for the same data stay as they are.

    Args:
        base: to begin with.
        name: of the result.
        planned: the configurations by name.
        origins: for each of them, where its numbers come from.
    """
    earlier = _read(base.folder / f"{name}.json") or {}
    mark = earlier.get(MARK, {})
    kept = {
        configuration: earlier["configurations"][configuration]
        for configuration in mark.get("configurations", {})
        if configuration not in planned
        and _undecided(earlier["configurations"].get(configuration))
        == _undecided(base.configurations.get(configuration))
    }
    return {
        **base.plans,
        "plans_name": name,
        "configurations": {**base.configurations, **kept, **planned},
        MARK: {
            "version": __version__,
            "base": base.name,
            "configurations": {**{k: mark["configurations"][k] for k in kept}, **origins},
        },
    }


def require_own_plans(folder: Path, name: str) -> None:
    """Raise if there is a plans file of this name that this package did not write.

    Args:
        folder: of the preprocessed data set.
        name: of the plans.

    Raises:
        FileExistsError: there is one.
    """
    file = folder / f"{name}.json"
    existing = _read(file)
    if existing is not None and MARK not in existing:
        raise FileExistsError(f"{file} was not written by nnunet-mamba plan; move it away")


def write_plans(folder: Path, plans: Mapping[str, Any]) -> Path:
    """Write plans under their name, whole or not at all, and return the file."""
    file = folder / f"{plans['plans_name']}.json"
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(plans, indent=4) + "\n", encoding="utf-8")
    return file


def _undecided(configuration: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what planning does not decide of a configuration."""
    return None if configuration is None else {k: v for k, v in configuration.items() if k not in _DECIDED}


def _read(file: Path) -> dict[str, Any] | None:
    """Return the content of a plans file, empty for one that is damaged; None if there is none."""
    if not file.is_file():
        return None
    try:
        return read_json_object(file)
    except ValueError:
        return {}
