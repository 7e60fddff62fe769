"""The batch that planning finds for a memory, and what its training steps really take under a cap of that memory.

Needs nnunetv2.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpu_checks.checks import Check, Finding, Setting, SkipCheck, verdict
from gpu_checks.device_timing import GIBIBYTE
from gpu_checks.nnunet_dataset import nnunet_root, require_nnunet

CAP = 12 * GIBIBYTE
# The heap's pieces differ a little from process to process.
TOLERANCE = 0.05
TRAINERS = ("nnUNetTrainerVMUNet_nnunet", "nnUNetTrainerUltraLightVM_nnunet")
SIDE, SMALL_SIDE = 256, 64
# Enough images that nnU-Net's rule of 5 % of all pixels does not decide.
N_CASES = 100_000


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part."""
    trainers = TRAINERS[1:] if setting.is_small else TRAINERS
    return [Check(name, partial(_check, setting, name)) for name in trainers]


def _check(setting: Setting, trainer: str) -> Iterator[Finding]:
    require_nnunet()
    nnunet_root()
    # Only here, because they import nnU-Net, which reads its folders at import.
    from nnunet_mamba.planning.memory import Budget
    from nnunet_mamba.planning.planner import plan_configuration
    from nnunet_mamba.planning.planning_request import PlanningRequest
    from nnunet_mamba.planning.resolved_trainer import resolve_trainers
    from nnunet_mamba.planning.step_process import measure_step
    from nnunet_mamba.planning.training_step import StepRequest, train_steps

    # As in a training; the other parts' are eager.
    os.environ["nnUNet_compile"] = "t"
    if setting.device == "cuda" and (free := torch.cuda.mem_get_info()[0]) < CAP + GIBIBYTE:
        raise SkipCheck(f"needs {CAP / GIBIBYTE + 1:.0f} GiB, {free / GIBIBYTE:.1f} GiB are free")
    budget = Budget(device=setting.device, size=CAP)
    base = _base_plans(SMALL_SIDE if setting.is_small else SIDE)
    # On a CPU, what other programs take decides, so only the measurement is shown.
    asked = PlanningRequest(batch_size=2 if setting.is_small else None)
    (resolved,) = resolve_trainers([trainer], base)
    planned = plan_configuration(resolved, "2d", budget=budget, request=asked, measure=measure_step)
    memory = planned.memory
    yield Finding(f"{memory.batch_size} ({planned.reason})", what="batch")
    yield Finding(_gib(memory.measured), f"<= {_gib(CAP)}", verdict(0 < (memory.measured or 0) <= CAP), "planned")
    if memory.estimate and memory.measured:
        yield Finding(f"{100 * (memory.estimate / memory.measured - 1):+.1f} %", what="estimate against measured")
    if setting.device != "cuda":
        raise SkipCheck("the cap needs a CUDA device")
    request = StepRequest(
        trainer=trainer,
        plans={**base.plans, "configurations": {"2d": planned.content}},
        configuration="2d",
        dataset_json=base.dataset_json,
    )
    # The steps limit this process as well.
    peak = train_steps(request, budget).peak
    yield Finding(_gib(peak), f"<= {_gib(CAP)}", verdict(peak <= CAP), "real peak under the cap")
    off = peak / (memory.measured or 1) - 1
    yield Finding(f"{100 * off:+.1f} %", f"within {100 * TOLERANCE:.0f} %", verdict(abs(off) <= TOLERANCE), "peak")


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / GIBIBYTE:.2f} GiB"


def _base_plans(side: int) -> Any:
    """Return the part of nnU-Net's plans of many photographs that a training step reads."""
    from nnunet_mamba.planning.patches import with_patch
    from nnunet_mamba.planning.plans_files import BasePlans

    stages = {"features_per_stage": [32], "n_conv_per_stage": [2], "n_conv_per_stage_decoder": [2]}
    content = {
        "data_identifier": "data",
        "batch_size": 2,
        "patch_size": [0, 0],
        "median_image_size_in_voxels": [side, side],
        "spacing": [1.0, 1.0],
        "batch_dice": True,
        "architecture": {"network_class_name": "", "arch_kwargs": stages, "_kw_requires_import": []},
    }
    plans = {
        "dataset_name": "Dataset902_Planned",
        "plans_name": "nnUNetPlans",
        "label_manager": "LabelManager",
        "configurations": {"2d": with_patch(content, (side, side))},
    }
    dataset_json = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "a": 1},
        "numTraining": N_CASES,
        "file_ending": ".png",
    }
    return BasePlans(folder=Path(os.environ["nnUNet_preprocessed"]), plans=plans, dataset_json=dataset_json)
