"""Write the page that the demo ends with, about the scores of the unseen photographs."""

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.demo.pipeline import DATASET, PROCESSES, SHIPPED_MODEL, Settings, demo_steps, prediction_device
from nnunet_mamba.demo.steps import FinishedDemoStep
from nnunet_mamba.evaluation.protocols import LabelScores, score_labels
from nnunet_mamba.models.shipped_models import find_shipped_model
from nnunet_mamba.report.figures import Panel, draw_panel
from nnunet_mamba.report.render import RanCommand, Report, write_report
from nnunet_mamba.results.confusion import ScoredCase, mean
from nnunet_mamba.results.layout import SUMMARY
from nnunet_mamba.results.summaries import read_summary
from nnunet_mamba.results.trained_fold import TrainedFold, read_fold
from nnunet_mamba.system.machine import processor, usable_cores
from nnunet_mamba.system.nnunet_folders import VARIABLES


@dataclass(frozen=True, kw_only=True)
class DemoOutcome:
    """What the demo ends with.

    Args:
        report: the HTML page.
        scores: of the lesions in the unseen photographs.
        shipped_model: what the model that comes along scores on the same photographs.
        seconds: wall time of all steps, those of earlier runs included.
    """

    report: Path
    scores: LabelScores
    shipped_model: LabelScores
    seconds: float


def write_demo_report(folder: Path, settings: Settings, finished: Sequence[FinishedDemoStep]) -> DemoOutcome:
    """Write ``report.html`` into the folder of a finished demo.

    Args:
        folder: of the demo.
        settings: it was run with.
        finished: its steps.
    """
    folder = folder.resolve()
    names = read_dataset_json(folder / "nnUNet_raw" / DATASET / "dataset.json").labels.names
    cases = read_summary(folder / "scores" / SUMMARY, names=names)
    shipped = score_labels(read_summary(folder / "shipped-model-scores" / SUMMARY))[0]
    fold = read_fold(folder / settings.fold, names=names)
    steps = demo_steps(folder, settings, device=prediction_device())
    report = Report(
        title="A state-space network, trained by stock nnU-Net",
        summary=f"UltraLight VM-UNet was trained with unmodified nnU-Net on {settings.n_training} photographs of skin "
        f"lesions and scored on {len(cases)} others, which neither its training nor its validation has seen.",
        notice="These photographs are synthetic: nnunet-mamba drew them, with exact masks, so that the demo needs no "
        "download. The numbers show that the whole path works on this machine. They say nothing about real skin.",
        cases=cases,
        panels=[_panel(folder, case) for case in cases],
        other=f"the model '{SHIPPED_MODEL}'",
        epochs=fold.epochs,
        commands=[
            RanCommand(title=step.title, command=step.command, seconds=done.seconds)
            for step, done in zip(steps, finished, strict=True)
        ],
        facts=[*_facts(folder, settings, fold), _shipped_fact(shipped)],
    )
    path = folder / "report.html"
    write_report(report, path)
    return DemoOutcome(
        report=path,
        scores=score_labels(cases)[0],
        shipped_model=shipped,
        seconds=sum(step.seconds for step in finished),
    )


def _panel(folder: Path, case: ScoredCase) -> Panel:
    return draw_panel(
        case.identifier,
        case.dice,
        photograph=folder / "photographs" / "unseen" / "images" / f"{case.identifier}.jpg",
        label=folder / "nnUNet_raw" / DATASET / "labelsTs" / f"{case.identifier}.png",
        prediction=folder / "predictions" / f"{case.identifier}.png",
        other=folder / "shipped-model" / f"{case.identifier}.png",
    )


def _shipped_fact(scores: LabelScores) -> tuple[str, str]:
    model = find_shipped_model(SHIPPED_MODEL)
    name = f"{SHIPPED_MODEL} ({model.name})" if model is not None else SHIPPED_MODEL
    return (
        "A second model",
        f"{name} comes with nnunet-mamba, has learned from real photographs, and knew none of these: mean per-case "
        f"Dice {scores.mean_case_dice:.3f} at the photographs' own size. Its masks and overlays are in shipped-model/",
    )


def _facts(folder: Path, settings: Settings, fold: TrainedFold) -> list[tuple[str, str]]:
    model, n_validation = fold.model, len(fold.validation)
    seconds = [epoch.seconds for epoch in fold.epochs if not math.isnan(epoch.seconds)]
    per_epoch = f", {sum(seconds) / len(seconds):.1f} s each" if seconds else ""
    patch = " x ".join(str(side) for side in fold.patch_size)
    packages = ("nnunet-mamba", "nnunetv2", "torch", "numba", "numpy")
    environment = {name: name for name in VARIABLES} | PROCESSES
    return [
        ("Trainer", f"{model.trainer}, fold {fold.fold}, last checkpoint"),
        ("Budget", f"{settings.epochs} epochs of {settings.iterations} iterations{per_epoch}"),
        (
            "Plans",
            f"{fold.model.plans}, {fold.model.configuration}: patches of {patch} pixels, {fold.batch_size} in a batch",
        ),
        (
            "Photographs",
            f"{settings.n_training - n_validation} to train, {n_validation} for nnU-Net's validation, "
            f"{settings.n_unseen} unseen; resized to {settings.size} x {settings.size} and scored at that size",
        ),
        (
            "Validation",
            f"mean per-case Dice {mean(case.dice for case in fold.validation):.3f} of nnU-Net's {n_validation} "
            "validation cases, which are not the unseen ones",
        ),
        ("Machine", f"{processor()}, {usable_cores()} cores; prediction on {prediction_device()}"),
        ("System", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("Versions", ", ".join(f"{package} {version(package)}" for package in packages)),
        ("Folder", f"{folder} (the paths above are relative to it)"),
        ("Environment", " ".join(f"{name}={value}" for name, value in environment.items())),
    ]
