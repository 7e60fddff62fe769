"""The demo: draw photographs, then convert, plan, train, predict and score with the commands that users type.

Everything lies in one folder. nnU-Net runs in an environment whose nnUNet_raw, nnUNet_preprocessed and nnUNet_results
point into it, so that no other nnU-Net data are read or written.
"""

import os
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nnunet_mamba import __version__
from nnunet_mamba.bundled import trainers_folder
from nnunet_mamba.demo.lesions import write_isic_folder
from nnunet_mamba.demo.steps import (
    DemoStep,
    FinishedDemoStep,
    Listener,
    OnLine,
    claim_folder,
    program,
    run_command,
    run_steps,
)
from nnunet_mamba.results.layout import ModelName, fold_name
from nnunet_mamba.system.nnunet_folders import VARIABLES
from nnunet_mamba.trainer_name import TrainerName

DATASET_ID = 901
DATASET = f"Dataset{DATASET_ID}_DrawnLesions"
SHIPPED_MODEL = "isic"
CONTENTS = (
    "photographs",
    "nnUNet_raw",
    "nnUNet_preprocessed",
    "nnUNet_results",
    "predictions",
    "scores",
    "shipped-model",
    "shipped-model-scores",
    "logs",
    "report.html",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the demo draws and how long it trains.

    Args:
        n_training: photographs for nnU-Net, of which its fold 0 keeps a fifth for validation; >= 5.
        n_unseen: photographs to predict and score, in no fold; >= 1.
        size: side of the square that whole photographs are resized to, in pixels.
        epochs: of the training, >= 1.
        iterations: of each epoch, >= 1.
        seed: of the drawings.
    """

    n_training: int = 80
    n_unseen: int = 20
    size: int = 128
    epochs: int = 10
    iterations: int = 50
    seed: int = 2024

    def __post_init__(self) -> None:
        for name, least in (("n_training", 5), ("n_unseen", 1), ("size", 32), ("epochs", 1), ("iterations", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} is {value}, expected at least {least}")

    @property
    def trainer(self) -> str:
        """Name of the trainer, budget included."""
        return str(TrainerName(base="nnUNetTrainerUltraLightVM", epochs=self.epochs, iterations=self.iterations))

    @property
    def fold(self) -> Path:
        """Where nnU-Net puts what is trained, relative to the demo's folder."""
        model = ModelName(trainer=self.trainer, plans="nnUNetPlans", configuration="2d")
        return Path("nnUNet_results", DATASET, str(model), fold_name(0))


def run_demo(folder: Path, settings: Settings, listener: Listener, *, fresh: bool = False) -> list[FinishedDemoStep]:
    """Run the demo in ``folder``, or what is left of it to run.

    Args:
        folder: new, empty, or an earlier demo's.
        settings: a changed number of epochs repeats only the training and what follows.
        listener: is told of every step.
        fresh: delete what an earlier demo made there and start over.

    Raises:
        OSError: the folder cannot be the demo's.
        ValueError: an earlier demo's record is damaged.
        DemoFailedError: a command failed; the message names its log.
    """
    claim_folder(folder, fresh=fresh, contents=CONTENTS)
    folder = folder.resolve()
    return run_steps(folder, demo_steps(folder, settings, device=prediction_device()), listener)


def demo_steps(folder: Path, settings: Settings, *, device: str) -> list[DemoStep]:
    """Return the steps of the demo.

    Args:
        folder: absolute.
        settings: of the demo.
        device: "cuda" or "cpu", for nnUNetv2_predict; trainers find theirs.
    """
    raw = folder / "nnUNet_raw" / DATASET
    drawn = {part: folder / "photographs" / part for part in ("training", "unseen")}

    def step(name: str, title: str, command: list[str | Path], *makes: Path) -> DemoStep:
        words = [str(word) for word in command]
        shown = shlex.join([os.path.relpath(word, folder) if os.path.isabs(word) else word for word in words])
        return DemoStep(
            name=name,
            title=title,
            command=shown,
            action=partial(_call, words, folder, f"{name}.log", shown),
            makes=makes,
        )

    convert: list[str | Path] = ["nnunet-mamba", "convert", "isic"]
    convert += [drawn["training"] / "images", drawn["training"] / "masks"]
    convert += ["--test-images", drawn["unseen"] / "images", "--test-masks", drawn["unseen"] / "masks"]
    convert += ["--dataset-id", str(DATASET_ID), "--name", DATASET.partition("_")[2], "--size", str(settings.size)]
    convert += ["--output", raw.parent, "--jobs", "1"]
    train: list[str | Path] = ["nnUNetv2_train", str(DATASET_ID), "2d", "0", "-tr", settings.trainer]
    predict: list[str | Path] = ["nnUNetv2_predict", "-i", raw / "imagesTs", "-o", folder / "predictions"]
    predict += ["-d", str(DATASET_ID), "-c", "2d", "-f", "0", "-tr", settings.trainer, "-device", device]
    predict += ["-npp", "1", "-nps", "1"]
    evaluate: list[str | Path] = ["nnunet-mamba", "evaluate", folder / "predictions", raw / "labelsTs"]
    evaluate += ["--dataset-json", raw / "dataset.json", "--output", folder / "scores", "--processes", "1"]
    # -npfp sets the number of processes that look at the intensities: nnUNet_def_n_proc does not reach them.
    plan = ["nnUNetv2_plan_and_preprocess", "-d", str(DATASET_ID), "-c", "2d", "-npfp", "1", "-np", "1"]
    shipped: list[str | Path] = ["nnunet-mamba", "predict", drawn["unseen"] / "images", "-o", folder / "shipped-model"]
    shipped += ["--model", SHIPPED_MODEL, "--overlay", "--device", device]
    evaluate_shipped: list[str | Path] = ["nnunet-mamba", "evaluate", folder / "shipped-model"]
    evaluate_shipped += [drawn["unseen"] / "masks", "--output", folder / "shipped-model-scores", "--processes", "1"]
    n_drawn = settings.n_training + settings.n_unseen
    return [
        DemoStep(
            name="1-draw",
            title=f"Draw {n_drawn} photographs",
            command=f"draw {settings.n_training} training and {settings.n_unseen} unseen photographs "
            f"(seed {settings.seed}, generator of nnunet-mamba {__version__})",
            action=partial(_draw, drawn["training"], drawn["unseen"], settings),
            makes=(drawn["training"], drawn["unseen"]),
        ),
        step("2-convert", "Convert them for nnU-Net", convert, raw),
        step("3-plan", "Plan and preprocess", [*plan], folder / "nnUNet_preprocessed" / DATASET),
        step("4-train", f"Train {settings.trainer}", train, folder / settings.fold),
        step("5-predict", f"Segment the {settings.n_unseen} unseen photographs", predict, folder / "predictions"),
        step("6-evaluate", "Score the predictions", evaluate, folder / "scores"),
        step("7-shipped-model", "Segment them with a model that comes along", shipped, folder / "shipped-model"),
        step("8-evaluate-it", "Score its masks", evaluate_shipped, folder / "shipped-model-scores"),
    ]


def _draw(training: Path, unseen: Path, settings: Settings, on_line: OnLine) -> None:
    on_line(f"{settings.n_training + settings.n_unseen} photographs")
    write_isic_folder(training, n_cases=settings.n_training, seed=settings.seed, progress=False)
    first = settings.n_training + 1
    write_isic_folder(unseen, n_cases=settings.n_unseen, seed=settings.seed, first=first, progress=False)


def _call(words: list[str], folder: Path, log: str, shown: str, on_line: OnLine) -> None:
    run_command(
        [program(words[0]), *words[1:]],
        on_line,
        environment=demo_environment(folder),
        log=folder / "logs" / log,
        shown=shown,
    )


def demo_environment(folder: Path) -> dict[str, str]:
    """Return this process's environment with nnU-Net's own variables replaced by the demo's."""
    environment = {name: value for name, value in os.environ.items() if not _is_nnunets(name)}
    for name in VARIABLES:
        environment[name] = str(folder / name)
    environment.update(PROCESSES, nnUNet_extTrainer=trainers_folder(), MPLBACKEND="Agg", PYTHONUNBUFFERED="1")
    return environment


# Each of nnU-Net's worker processes imports torch, which takes longer than the work of a small data set; compiling
# the network on a GPU takes longer than the training. Where other programs use the cores too, threads that wait for
# each other actively (OpenMP's default) slow the training down (benchmarks/training_step.py).
PROCESSES = {
    "nnUNet_def_n_proc": "1",
    "nnUNet_n_proc_DA": "1",
    "nnUNet_compile": "f",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def _is_nnunets(name: str) -> bool:
    upper = name.upper()
    return upper.startswith("NNUNET_") and not upper.startswith("NNUNET_MAMBA_")


def prediction_device() -> str:
    """Return the device that nnUNetv2_predict must be told: unlike our trainers, it does not look for one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
