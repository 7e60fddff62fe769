"""Trainings by nnU-Net's own commands, in every precision and compiled, and what may go wrong in them.

Needs nnunetv2.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpu_checks.checks import Check, Finding, Setting, SkipCheck, equal, require_cuda, verdict
from gpu_checks.nnunet_dataset import NAME, NUMBER, nnunet_root, planned_folder, require_nnunet, run_command, trainer
from nnunet_mamba.training.precision import cpu_multiplies_bf16

TRAINER = "nnUNetTrainerUltraLightVM"
ITERATIONS, ITERATIONS_OF_DRY_RUN = 20, 2
_MOST_STEPS = 12
# name: precision, whether torch.compile compiles
TRAININGS = {"bf16": ("bf16", False), "fp16": ("fp16", False), "bf16 compiled": ("bf16", True)}


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part: the quick ones first."""
    made: dict[str, Callable[[], Iterator[Finding]]] = {
        "plan and preprocess": _plan,
        "NaN batch under the GradScaler": partial(_nan_batch, setting),
        "checkpoint from bf16 to fp16": partial(_checkpoint, setting, "bf16", "fp16"),
        "checkpoint from fp16 to bf16": partial(_checkpoint, setting, "fp16", "bf16"),
    }
    if setting.device == "cpu":
        made["training in float32"] = partial(_train, setting, "", is_compiled=False)
    for name, (precision, is_compiled) in TRAININGS.items():
        made[f"training in {name}"] = partial(_train_on_cuda, setting, precision, is_compiled)
    return [Check(what, partial(_with_nnunet, run)) for what, run in made.items()]


def _with_nnunet(run: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    require_nnunet()
    yield from run()


def _plan() -> Iterator[Finding]:
    plans = json.loads((planned_folder() / "nnUNetPlans.json").read_text(encoding="utf-8"))
    planned = plans["configurations"]["2d"]
    yield Finding(f"batch {planned['batch_size']}, patch {planned['patch_size']}")


def _train_on_cuda(setting: Setting, precision: str, is_compiled: bool) -> Iterator[Finding]:
    require_cuda(setting)
    yield from _train(setting, precision, is_compiled=is_compiled)


def _train(setting: Setting, precision: str, *, is_compiled: bool) -> Iterator[Finding]:
    planned_folder()
    iterations = ITERATIONS_OF_DRY_RUN if setting.is_dry_run else ITERATIONS
    name = f"{TRAINER}_1epochs_{iterations}iterations"
    variables = {"nnUNet_compile": "t" if is_compiled else "f", "NNUNET_MAMBA_PRECISION": precision}
    said = run_command("nnUNetv2_train", str(NUMBER), "2d", "0", "-tr", name, "-device", setting.device, **variables)
    if setting.device == "cuda":
        found = "bf16" if "Training in bf16" in said else "fp16"
        yield Finding(found, precision, verdict(found == precision), "precision")
        if is_compiled:
            yield Finding(*_yes("Using torch.compile" in said), "compiled")
    losses = [float(number) for number in re.findall(r"(?:train|val)_loss (\S+)", said)]
    is_finite = len(losses) >= 2 and all(map(math.isfinite, losses))
    yield Finding(", ".join(f"{loss:.3f}" for loss in losses) or "none", "finite", verdict(is_finite), "losses")
    yield Finding(*_yes("This step is skipped" not in said), "no step is skipped")
    folder = nnunet_root() / "nnUNet_results" / NAME / f"{name}__nnUNetPlans__2d" / "fold_0"
    yield _dice(folder / "validation" / "summary.json")


def _yes(is_true: bool) -> tuple[str, str, str]:
    return ("yes" if is_true else "no"), "yes", verdict(is_true)


def _dice(summary: Path) -> Finding:
    """Return the Dice of the final validation, which runs in nnU-Net's fp16 whatever training ran in."""
    dice = json.loads(summary.read_text(encoding="utf-8"))["foreground_mean"]["Dice"]
    return Finding(f"{dice:.3f}", "finite", verdict(math.isfinite(dice)), "Dice of the validation in nnU-Net's fp16")


def _weights(made: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in made.bare_network.state_dict().items()}


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def _batch(made: Any) -> dict[str, Any]:
    from nnunet_mamba.planning.training_step import random_batch

    batch = random_batch(made)
    return {**batch, "keys": [f"case_{index}" for index in range(len(batch["data"]))]}


def _trains(made: Any, what: str) -> Finding:
    """Return whether a step changes the weights; a GradScaler skips a few until its scale is small enough."""
    before, losses = _weights(made), []
    while len(losses) < _MOST_STEPS and _same(before, _weights(made)):
        losses.append(float(made.train_step(_batch(made))["loss"]))
    is_right = all(map(math.isfinite, losses)) and not _same(before, _weights(made))
    return Finding(f"loss {losses[-1]:.3f} in step {len(losses)}", "finite, new weights", verdict(is_right), what)


def _nan_batch(setting: Setting) -> Iterator[Finding]:
    made = trainer(TRAINER, setting.device, precision="fp16")
    if setting.device == "cuda":
        yield Finding(*_yes(made.grad_scaler is not None), "there is a GradScaler")
    made.train_step(_batch(made))
    before, spoilt = _weights(made), _batch(made)
    spoilt["data"][1] = math.nan
    made.train_step(spoilt)
    yield equal(_same(before, _weights(made)), what="weights before and after")
    log = Path(made.log_file).read_text(encoding="utf-8")
    explained = "This step is skipped" in log and "case_1" in log
    yield Finding(*_yes(explained), "the log names the case")
    yield _trains(made, "the next batch trains")


def _checkpoint(setting: Setting, before: str, after: str) -> Iterator[Finding]:
    if setting.device == "cpu" and not cpu_multiplies_bf16():
        raise SkipCheck("this processor has no products of bf16")
    first = trainer(TRAINER, setting.device, precision=before)
    for _ in range(3):
        first.train_step(_batch(first))
    file = nnunet_root() / f"from_{before}.pth"
    first.save_checkpoint(str(file))
    second = trainer(TRAINER, setting.device, precision=after)
    second.load_checkpoint(str(file))
    yield equal(_same(_weights(first), _weights(second)), what="weights")
    yield _trains(second, "trains on")
