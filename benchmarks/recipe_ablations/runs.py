"""One run of an ablation: a training of stock nnU-Net, its predictions without mirroring, and their scores."""

import json
from dataclasses import dataclass
from pathlib import Path

from stock_runs.checkouts import FOLDERS, Checkout
from stock_runs.planned_data import PlannedData
from stock_runs.scores import PER_CASE, POOLED, mean_dice, scores_of
from stock_runs.seeded_training import SeededTraining

from nnunet_mamba.results.layout import validation_folder
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.training.plans_names import plans_name
from recipe_ablations.variants import Variant

MIRRORED, UNMIRRORED = "mirrored", "unmirrored"


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
    def training(self) -> SeededTraining:
        """Its training, in a folder of its seed with nnU-Net's three."""
        ablation = self.ablation
        trainers = ablation.checkout.folder / "benchmarks" / "recipe_ablations" / "trainers"
        return SeededTraining(
            root=ablation.root / f"seed_{self.seed}",
            checkout=ablation.checkout,
            data=ablation.data,
            trainer=self.variant.trainer_name(ablation.base, epochs=ablation.epochs, iterations=ablation.iterations),
            plans=plans_name(ablation.base, "nnUNetPlans"),
            fold=ablation.fold,
            seed=self.seed,
            device=ablation.device,
            variables={"nnUNet_extTrainer": str(trainers)},
        )

    @property
    def scores_file(self) -> Path:
        """Where its scores are kept; there once the run is done."""
        return self.training.fold_folder / "ablation_scores.json"

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
        training = self.training
        self._link_data(training.root)
        training.train()
        fold = training.fold_folder
        predictions = {MIRRORED: validation_folder(fold), UNMIRRORED: fold / "validation_without_mirroring"}
        training.predict(training.validation_images(), predictions[UNMIRRORED], mirrors=False)
        scores = {}
        for way, folder in predictions.items():
            rows = scores_of(folder, training.labels_folder, fold / f"scores_{way}")
            scores[way] = {protocol: mean_dice(rows, protocol) for protocol in (PER_CASE, POOLED)}
        with replacing(self.scores_file) as temporary:
            temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")

    def _link_data(self, root: Path) -> None:
        (root / FOLDERS[2]).mkdir(parents=True, exist_ok=True)
        for name in FOLDERS[:2]:
            if not (root / name).exists():
                (root / name).symlink_to(self.ablation.root / name, target_is_directory=True)
