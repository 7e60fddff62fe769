"""A fold that stock nnU-Net trains from a seed, and its predictions, without an installed package."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.demo.steps import program
from nnunet_mamba.results.checkpoints import FINAL, SPARE, checkpoint_to_continue, is_trained
from nnunet_mamba.results.layout import ModelName, fold_name, validation_summary
from nnunet_mamba.training.seed_choice import SEED_VARIABLE
from stock_runs.checkouts import FOLDERS, Checkout
from stock_runs.planned_data import PlannedData
from stock_runs.watched_process import run

CONFIGURATION = "2d"


@dataclass(frozen=True, kw_only=True)
class SeededTraining:
    """A training of one fold; what is done already is not done again.

    Args:
        root: holds nnU-Net's three folders, or links to them.
        checkout: whose trainers train.
        data: planned.
        trainer: class name, as given to -tr.
        plans: name of the plans.
        fold: of the splits.
        seed: of the training.
        device: for nnU-Net's commands.
        variables: environment variables of all commands, besides those of the checkout.
    """

    root: Path
    checkout: Checkout
    data: PlannedData
    trainer: str
    plans: str
    fold: int
    seed: int
    device: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_folder(self) -> Path:
        """The folder of all folds."""
        name = ModelName(trainer=self.trainer, plans=self.plans, configuration=CONFIGURATION)
        return self.root / FOLDERS[2] / self.data.dataset / str(name)

    @property
    def fold_folder(self) -> Path:
        """The folder of the fold."""
        return self.model_folder / fold_name(self.fold)

    @property
    def labels_folder(self) -> Path:
        """The labels of all cases of the data set."""
        return self.root / FOLDERS[0] / self.data.dataset / "labelsTr"

    def is_finished(self) -> bool:
        """Return whether it is trained and has validated."""
        return is_trained(self.fold_folder) and validation_summary(self.fold_folder).is_file()

    def train(self) -> None:
        """Train and validate, from the beginning or from where an earlier run was interrupted.

        Raises:
            RuntimeError: nnU-Net failed; the text has its last lines.
        """
        if self.is_finished():
            return
        can_continue = checkpoint_to_continue(self.fold_folder) is not None or (self.fold_folder / SPARE).is_file()
        self.run(
            *("nnUNetv2_train", str(self.data.number), CONFIGURATION, str(self.fold)),
            *("-tr", self.trainer, "-p", self.plans, "-device", self.device),
            *(["--c"] if can_continue else []),
        )

    def predict(self, images: Path, output: Path, *, mirrors: bool) -> None:
        """Predict a folder of nnU-Net's images.

        Args:
            images: the folder.
            output: gets the label maps.
            mirrors: whether to average over mirrored images.

        Raises:
            RuntimeError: nnU-Net failed; the text has its last lines.
        """
        self.run(
            *("nnUNetv2_predict", "-i", str(images), "-o", str(output), "-d", str(self.data.number)),
            *("-c", CONFIGURATION, "-f", str(self.fold), "-tr", self.trainer, "-p", self.plans),
            *("-chk", FINAL, "-device", self.device, *([] if mirrors else ["--disable_tta"])),
        )

    def validation_images(self) -> Path:
        """Return a folder with links to the images of the fold's validation cases."""
        raw, preprocessed = (self.root / name / self.data.dataset for name in FOLDERS[:2])
        wanted = set(read_splits(preprocessed / SPLITS_FILE)[self.fold]["val"])
        folder = self.root / f"validation_images_of_fold_{self.fold}"
        folder.mkdir(exist_ok=True)
        for image in sorted((raw / "imagesTr").iterdir()):
            # CASE_0000.png
            if image.name.rpartition("_")[0] in wanted and not (folder / image.name).exists():
                (folder / image.name).symlink_to(image.resolve())
        return folder

    def run(self, command: str, *arguments: str) -> None:
        """Run a command of nnU-Net or of this package; what it prints lies beside the results.

        Raises:
            RuntimeError: it failed; the text has its last lines.
        """
        folder = self.checkout.folder
        variables = {
            "PYTHONPATH": os.pathsep.join((str(folder), str(folder / "benchmarks"))),
            SEED_VARIABLE: str(self.seed),
            **self.variables,
        }
        environment = self.checkout.environment(self.root, **variables)
        output = self.root / f"{self.trainer}_{command}.txt"
        run([program(command), *arguments], environment, output=output)
