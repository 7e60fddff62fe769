"""One run of an ablation: a training of stock nnU-Net, its predictions without mirroring, and their scores."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epoch_parts.checkouts import FOLDERS, Checkout
from epoch_parts.planned_data import PlannedData
from epoch_parts.watched_process import watch

from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.demo.steps import program
from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.results.checkpoints import FINAL, SPARE, checkpoint_to_continue, is_trained
from nnunet_mamba.results.layout import ModelName, fold_name, validation_folder, validation_summary
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.training.plans_names import plans_name
from nnunet_mamba.training.seeding import SEED_VARIABLE
from recipe_ablations.variants import Variant

CONFIGURATION = "2d"
MIRRORED, UNMIRRORED = "mirrored", "unmirrored"
PER_CASE, POOLED = "per_case", "pooled"


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What all runs of an ablation share.

    Args:
        root: holds the data, and a folder for the results of every seed.
        checkout: whose trainers train.
        data: planned.
        base: name of the bundled trainer.
        epochs: of a run.
        iterations: of an epoch.
        fold: of the splits.
        device: for nnU-Net's commands.
    """

    root: Path
    checkout: Checkout
    data: PlannedData
    base: str
    epochs: int
    iterations: int
    fold: int
    device: str

    @property
    def plans(self) -> str:
        """Name of the plans, which all variants share."""
        return plans_name(self.base, "nnUNetPlans")

    def validation_cases(self) -> list[str]:
        """Return the identifiers of the fold's validation cases."""
        splits = self.root / "nnUNet_preprocessed" / self.data.dataset / SPLITS_FILE
        return read_splits(splits)[self.fold]["val"]


@dataclass(frozen=True)
class Run:
    """A variant that is trained from one seed; what is done already is not done again.

    Args:
        ablation: that it is part of.
        variant: of the recipe.
        seed: of the training.
    """

    ablation: Ablation
    variant: Variant
    seed: int

    @property
    def trainer(self) -> str:
        """Name of its trainer."""
        ablation = self.ablation
        return self.variant.trainer_name(ablation.base, epochs=ablation.epochs, iterations=ablation.iterations)

    @property
    def root(self) -> Path:
        """The folder with nnU-Net's three of its seed."""
        return self.ablation.root / f"seed_{self.seed}"

    @property
    def fold(self) -> Path:
        """The folder of the trained fold."""
        name = ModelName(trainer=self.trainer, plans=self.ablation.plans, configuration=CONFIGURATION)
        results = self.root / FOLDERS[2] / self.ablation.data.dataset
        return results / str(name) / fold_name(self.ablation.fold)

    @property
    def scores_file(self) -> Path:
        """Where its scores are kept; there once the run is done."""
        return self.fold / "ablation_scores.json"

    def scores(self) -> dict[str, dict[str, float]] | None:
        """Return the mean over labels of the Dice in both protocols, with and without mirroring; None before."""
        return read_json_object(self.scores_file) if self.scores_file.is_file() else None

    def do(self) -> None:
        """Train, validate, predict without mirroring and score.

        Raises:
            RuntimeError: a command of nnU-Net failed; the text has its last lines.
        """
        if self.scores_file.is_file():
            return
        self._link_data()
        if not (is_trained(self.fold) and validation_summary(self.fold).is_file()):
            self._train()
        unmirrored = self.fold / "validation_without_mirroring"
        self._predict_without_mirroring(unmirrored)
        scores = {
            MIRRORED: self._dice(validation_folder(self.fold), self.fold / f"scores_{MIRRORED}"),
            UNMIRRORED: self._dice(unmirrored, self.fold / f"scores_{UNMIRRORED}"),
        }
        with replacing(self.scores_file) as temporary:
            temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")

    def _link_data(self) -> None:
        (self.root / FOLDERS[2]).mkdir(parents=True, exist_ok=True)
        for name in FOLDERS[:2]:
            if not (self.root / name).exists():
                (self.root / name).symlink_to(self.ablation.root / name, target_is_directory=True)

    def _train(self) -> None:
        ablation = self.ablation
        can_continue = checkpoint_to_continue(self.fold) is not None or (self.fold / SPARE).is_file()
        self._run(
            *("nnUNetv2_train", str(ablation.data.number), CONFIGURATION, str(ablation.fold)),
            *("-tr", self.trainer, "-p", ablation.plans, "-device", ablation.device),
            *(["--c"] if can_continue else []),
        )

    def _predict_without_mirroring(self, output: Path) -> None:
        ablation = self.ablation
        raw = ablation.root / FOLDERS[0] / ablation.data.dataset
        images = self.root / f"validation_images_of_fold_{ablation.fold}"
        images.mkdir(exist_ok=True)
        wanted = set(ablation.validation_cases())
        for image in sorted((raw / "imagesTr").iterdir()):
            # CASE_0000.png
            if image.name.rpartition("_")[0] in wanted and not (images / image.name).exists():
                (images / image.name).symlink_to(image.resolve())
        self._run(
            *("nnUNetv2_predict", "-i", str(images), "-o", str(output), "-d", str(ablation.data.number)),
            *("-c", CONFIGURATION, "-f", str(ablation.fold), "-tr", self.trainer, "-p", ablation.plans),
            *("-chk", FINAL, "-device", ablation.device, "--disable_tta"),
        )

    def _dice(self, predictions: Path, output: Path) -> dict[str, float]:
        raw = self.ablation.root / FOLDERS[0] / self.ablation.data.dataset
        output.mkdir(exist_ok=True)
        labels = evaluate_folders(
            predictions, raw / "labelsTr", output=output, allow_missing=True, processes=os.cpu_count() or 1
        ).scores
        return {
            PER_CASE: sum(label.mean_case_dice for label in labels) / len(labels),
            POOLED: sum(label.pooled.dice for label in labels) / len(labels),
        }

    def _run(self, command: str, *arguments: str) -> None:
        folder = self.ablation.checkout.folder
        variables: dict[str, Any] = {
            "PYTHONPATH": os.pathsep.join((str(folder), str(folder / "benchmarks"))),
            "nnUNet_extTrainer": str(folder / "benchmarks" / "recipe_ablations" / "trainers"),
            SEED_VARIABLE: str(self.seed),
        }
        environment = self.ablation.checkout.environment(self.root, **variables)
        # Beside the results: nnU-Net's own log is in the fold's folder.
        output = self.root / f"{self.trainer}_{command}.txt"
        watch([program(command), *arguments], environment, output=output, is_done=lambda: False)
