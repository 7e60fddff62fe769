"""What all our nnU-Net trainers share: the network comes from a preset, the optimisation from a recipe."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from nnunet_mamba.data.splits.split_files import SPLITS_FILE, adopt_splits, read_splits
from nnunet_mamba.networks.catalogue import create_network, require_packages
from nnunet_mamba.networks.plan_arguments import trained_arguments
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.presets import Preset
from nnunet_mamba.system.durations import rough_duration
from nnunet_mamba.system.nnunet_folders import nnunet_folder, nnunet_folder_if_set
from nnunet_mamba.system.progress import Pace, ShownProgress
from nnunet_mamba.training.augmentation.transforms import augment
from nnunet_mamba.training.averaged_weights import AveragedWeights
from nnunet_mamba.training.cpu_trainer import CpuTrainer
from nnunet_mamba.training.deep_supervision import (
    deep_supervision_scales,
    freeze_heads_without_logits,
    switch_deep_supervision,
)
from nnunet_mamba.training.device import scan_notice
from nnunet_mamba.training.optimizers import optimizer_and_schedule
from nnunet_mamba.training.plans_checks import refuse_senseless_dataset, refuse_senseless_plans
from nnunet_mamba.training.plans_names import large_batch_notice
from nnunet_mamba.training.recipes import Recipe
from nnunet_mamba.training.seed_choice import SEED_VARIABLE, seed_of_training
from nnunet_mamba.training.seeding import seed_process, seeded_loaders

# The entries of a configuration that the trainers themselves read.
_NEEDED = ("patch_size", "batch_size", "architecture")


def refuse_wrong_dimensions(trainer_name: str, preset: Preset, configuration: str, patch_size: Sequence[int]) -> None:
    """Raise before anything is written if the network cannot take patches of this many dimensions.

    Args:
        trainer_name: as given to ``-tr``.
        preset: the trainer's network.
        configuration: what to call it in the error, such as "'3d_fullres'".
        patch_size: of that configuration, voxels per axis.

    Raises:
        NotImplementedError: the network has no version of that many dimensions.
    """
    if len(patch_size) in preset.spatial_dims:
        return
    supported = " and ".join(f"{dims}D" for dims in preset.spatial_dims)
    other = "2d" if 2 in preset.spatial_dims else "3d_fullres"
    raise NotImplementedError(
        f"{trainer_name} trains {supported} configurations, and {configuration} has {len(patch_size)}D patches "
        f"{list(patch_size)}. Train '{other}' with it: nnUNetv2_train DATASET {other} FOLD -tr {trainer_name}; "
        f"or take '-tr nnUNetTrainer' for {len(patch_size)}D."
    )


class PresetTrainer(CpuTrainer):
    """Train the network of ``preset`` as ``recipe`` says, with nnU-Net's data, loss, validation and files.

    A trainer whose paper trains otherwise than ``recipe`` has a ``paper_recipe``, one that learns from another network
    names that one's ``teacher_preset``, and one whose loss compares single outputs sets ``needs_single_output``. The
    attributes "of name" are set by ``generated_trainers``.
    """

    preset: ClassVar[Preset]
    recipe: ClassVar[Recipe]
    paper_recipe: ClassVar[Recipe | None] = None
    teacher_preset: ClassVar[Preset | None] = None
    needs_single_output: ClassVar[bool] = False
    variant_of_name: ClassVar[str | None] = None
    deep_of_name: ClassVar[bool] = False
    epochs_of_name: ClassVar[int | None] = None
    iterations_of_name: ClassVar[int | None] = None
    seed_of_name: ClassVar[int | None] = None

    # nnU-Net reads the parameter names of this method, so they are spelled out.
    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  the default of nnU-Net's own signature
    ) -> None:
        for variable in ("nnUNet_preprocessed", "nnUNet_results"):
            nnunet_folder(variable)
        # There may be splits in it, see do_split.
        nnunet_folder_if_set("nnUNet_raw")
        refuse_senseless_plans(plans, configuration, where=f"The plans {plans.get('plans_name')}", needs=_NEEDED)
        refuse_senseless_dataset(dataset_json, where="dataset.json")
        patch_size = PlansManager(plans).get_configuration(configuration).patch_size
        refuse_wrong_dimensions(type(self).__name__, self.preset, f"'{configuration}'", patch_size)
        self.require_packages()
        self._seed = seed_of_training(type(self).__name__, self.seed_of_name)
        super().__init__(plans, configuration, fold, dataset_json, device)
        self._averaged_weights: AveragedWeights | None = None
        self.enable_deep_supervision = self.has_deep_supervision()
        self.initial_lr = self.recipe.initial_lr
        self.weight_decay = self.recipe.weight_decay
        self.save_every = self.recipe.save_every
        self.num_epochs = self.epochs_of_name or self.recipe.num_epochs
        if self.iterations_of_name:
            self.num_iterations_per_epoch = self.iterations_of_name
            self.num_val_iterations_per_epoch = max(1, self.iterations_of_name // 5)
        self._first_epoch = 0
        self._pace = Pace()
        self._iterations: ShownProgress | None = None

    def initialize(self) -> None:
        """Build what nnU-Net builds, from the seed if there is one, and average the weights if the recipe does."""
        if self._seed is not None:
            seed_process(self._seed)
        super().initialize()
        if self.recipe.ema_decay is not None:
            self._averaged_weights = AveragedWeights(self.bare_network, self.optimizer, self.recipe.ema_decay)

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Start nnU-Net's background workers, which draw from the seed if there is one."""
        framing = self.recipe.augmentation.framing
        if framing is not None and not framing.centres_labels:
            self.oversample_foreground_percent = 0.0
        if self._seed is None:
            return super().get_dataloaders()
        with seeded_loaders(self._seed, epoch=self.current_epoch, rank=self.local_rank):
            return super().get_dataloaders()

    def prepare_trial_steps(self) -> None:
        """Make up what steps need beyond the initialised trainer, where a step is tried and no training starts."""

    @classmethod
    def require_packages(cls) -> None:
        """Raise if the network needs an optional package that is not installed.

        Raises:
            ModuleNotFoundError: names it, and the extra that installs it.
        """
        require_packages(cls.preset)

    @classmethod
    def has_deep_supervision(cls) -> bool:
        """Return whether the network has a head at every resolution, by its nature or by the trainer's name."""
        return cls.preset.deep_supervision or cls.deep_of_name

    # nnU-Net calls this on the class when it predicts and on the instance when it trains,
    # and recognises the current signature by the name ``plans_manager``.
    @classmethod
    def build_network_architecture(
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Build the preset's network, or its variant, for this data set's channels and labels.

        Args:
            plans_manager: unused, the configuration says all.
            configuration_manager: decides what the preset leaves to the plans; its patch size must have the network's
                number of dimensions.
            num_input_channels: of the images.
            num_output_channels: number of labels with the background, or of regions.
            enable_deep_supervision: whether a network with several heads returns all their logits.

        Raises:
            NotImplementedError: the configuration's patches have another number of dimensions.
        """
        refuse_wrong_dimensions(cls.__name__, cls.preset, "this configuration", configuration_manager.patch_size)
        arguments = trained_arguments(cls.preset, configuration_manager.configuration, cls.variant_of_name)
        if not cls.has_deep_supervision():
            return create_network(cls.preset.name, num_input_channels, num_output_channels, **arguments)
        # A checkpoint has the heads' weights, so they exist even where one output is asked for.
        network = create_network(
            cls.preset.name, num_input_channels, num_output_channels, **arguments, deep_supervision=True
        )
        network.deep_supervision = enable_deep_supervision
        return network

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Switch between one output and one per resolution, where the network has that many."""
        if self.has_deep_supervision():
            switch_deep_supervision(self.network, enabled=enabled)

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        """Return the scales of the network's own outputs, which may differ from those of the plan's stages."""
        if not self.enable_deep_supervision:
            return None
        return deep_supervision_scales(self.bare_network, self.configuration_manager.patch_size)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        """Return the recipe's optimiser and its schedule over the whole run."""
        # A subclass may change these two in its constructor, as with nnU-Net's own trainers.
        recipe = replace(self.recipe, initial_lr=self.initial_lr, weight_decay=self.weight_decay)
        optimizer, schedule = optimizer_and_schedule(
            self.network, recipe, self.num_epochs, fused=self.device.type == "cpu"
        )
        # After the optimiser is made: it has the same parameters in every checkpoint.
        if self.is_ddp and not self.enable_deep_supervision:
            freeze_heads_without_logits(self.network)
        return optimizer, schedule

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802
        """Return what nnU-Net decides, as far as the recipe leaves it: axes to mirror, and a margin to rotate in."""
        decided = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        rotation, is_dummy_2d, initial_patch_size, mirror_axes = decided
        if not self.recipe.mirrors:
            self.inference_allowed_mirroring_axes = mirror_axes = None
        framing = self.recipe.augmentation.framing
        if framing is not None and (framing.reflects or framing.shift):
            # nnU-Net's loader fills a margin with zeros, which would be mirrored, or shifted into the patch.
            initial_patch_size = self.configuration_manager.patch_size
        return rotation, is_dummy_2d, initial_patch_size, mirror_axes

    @classmethod
    def get_training_transforms(cls, *args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's transforms as the recipe's augmentation has them; the arguments are nnU-Net's."""
        return augment(nnUNetTrainer.get_training_transforms(*args, **kwargs), cls.recipe.augmentation)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Return the fold's cases as nnU-Net does, after taking over the raw data's splits if no planner has."""
        if self.fold != "all" and (splits := adopt_splits(Path(self.preprocessed_dataset_folder_base))):
            self.print_to_log_file(f"Took over {splits}")
        splits_file = Path(self.preprocessed_dataset_folder_base) / SPLITS_FILE
        if self.fold != "all" and splits_file.exists():
            read_splits(splits_file)
        train, val = super().do_split()
        return train, val

    def batch_notice(self) -> str | None:
        """Return one line about a batch that is larger than the recipe's, with the way out; None if it is not."""
        return large_batch_notice(
            type(self).__name__,
            self.plans_manager.plans,
            self.configuration_name,
            batch_size=self.configuration_manager.batch_size,
            largest=self.recipe.largest_batch_size,
        )

    def run_training(self) -> None:
        """Train as nnU-Net does; an error leaves no half of a progress bar."""
        try:
            super().run_training()
        finally:
            self._hide_iterations()

    def on_train_start(self) -> None:
        """Log how the network scans and trains, and whether the batch is too large; remember where this run begins."""
        super().on_train_start()
        self.print_to_log_file(self._choices())
        if notice := self.batch_notice():
            self.print_to_log_file(notice)
        network = self.bare_network
        if isinstance(network, SegmentationNetwork) and network.uses_scan():
            self.print_to_log_file(scan_notice(self.device))
        self._first_epoch = self.current_epoch
        self._pace = Pace()

    def _choices(self) -> str:
        decay = self.recipe.ema_decay
        chosen = [f"augmentation: {self.recipe.augmentation.name}"]
        chosen += [] if decay is None else [f"averaged weights validate and predict (decay {decay})"]
        chosen += [] if self._seed is None else [f"{SEED_VARIABLE}={self._seed}"]
        return f"Recipe: {', '.join(chosen)}"

    def on_train_epoch_start(self) -> None:
        """Begin to show how far the iterations of this epoch are."""
        super().on_train_epoch_start()
        # nnU-Net has just written its lines, so that more of them are due in long epochs only.
        self._pace.begin_pause()
        self._show_iterations(self.num_iterations_per_epoch, f"epoch {self.current_epoch}")

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Train on one batch as nnU-Net does and count it."""
        outputs: dict[str, Any] = super().train_step(batch)
        self._count_iteration()
        return outputs

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Show no more iterations and log as nnU-Net does."""
        self._hide_iterations()
        super().on_train_epoch_end(train_outputs)

    def on_validation_epoch_start(self) -> None:
        """Begin to show how far the validation of this epoch is; averaged weights validate, where there are any."""
        super().on_validation_epoch_start()
        if self._averaged_weights is not None:
            self._averaged_weights.put_in()
        self._show_iterations(self.num_val_iterations_per_epoch, f"epoch {self.current_epoch}, validation")

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Validate on one batch as nnU-Net does and count it."""
        outputs: dict[str, Any] = super().validation_step(batch)
        self._count_iteration()
        return outputs

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Show no more iterations, log as nnU-Net does, and go on with the weights of the training."""
        self._hide_iterations()
        super().on_validation_epoch_end(val_outputs)
        if self._averaged_weights is not None:
            self._averaged_weights.take_out()

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint as before, whose network has the averaged weights, where there are any."""
        with self._averages_in_network():
            super().save_checkpoint(filename)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Validate as before, with the averaged weights, where there are any.

        Args:
            save_probabilities: keep the probabilities of the cases.
        """
        with self._averages_in_network():
            super().perform_actual_validation(save_probabilities)

    def _averages_in_network(self) -> AbstractContextManager[None]:
        return nullcontext() if self._averaged_weights is None else self._averaged_weights.in_network()

    def _show_iterations(self, n: int, description: str) -> None:
        is_first = self.local_rank == 0
        self._iterations = ShownProgress(
            n, description, unit="iteration", is_shown=is_first, stays=False, pace=self._pace
        )

    def _count_iteration(self) -> None:
        if self._iterations is not None:
            self._iterations.update()

    def _hide_iterations(self) -> None:
        if self._iterations is not None:
            self._iterations.close()

    def on_epoch_end(self) -> None:
        """Log as nnU-Net does; after the first epoch, estimate the time left."""
        super().on_epoch_end()
        epochs_left = self.num_epochs - self.current_epoch
        if self.current_epoch == self._first_epoch + 1 and epochs_left > 0:
            start, end = (self.logger.get_value(f"epoch_{edge}_timestamps", step=-1) for edge in ("start", "end"))
            self.print_to_log_file(
                f"About {rough_duration(epochs_left * (end - start))} of training left "
                f"(epochs done: {self.current_epoch} of {self.num_epochs}), and then the final validation."
            )
