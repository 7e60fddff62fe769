"""nnU-Net's trainer, guarded against what ends long trainings: NaN, damaged checkpoints, full disks, lost workers."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunet_mamba.models.kept_conversion import keep_conversion
from nnunet_mamba.models.nnunet.checkpoint_reading import RESUMED, read_checkpoint
from nnunet_mamba.networks.torch_files import no_code_from_files
from nnunet_mamba.networks.wrappers import bare_network
from nnunet_mamba.results.checkpoints import BEST, FINAL, LATEST, SPARE
from nnunet_mamba.system.atomic import remove_partial_files
from nnunet_mamba.training.background_workers import (
    MESSAGES_FILES,
    explain,
    messages_file,
    worker_messages_in,
    worker_processes,
)
from nnunet_mamba.training.checkpoints.continued_entries import bare_names_for, problem_of_logging
from nnunet_mamba.training.checkpoints.files import (
    CheckpointWriteError,
    epoch_of_whole,
    newest_whole_checkpoint,
    write_checkpoint,
)
from nnunet_mamba.training.checkpoints.pretrained_weights import refuse_unsafe_pretrained_weights
from nnunet_mamba.training.precision import training_dtype, training_precision
from nnunet_mamba.training.sentinel import NonFiniteStepError, Sentinel, TrainingStoppedError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

# One odd batch is no reason to lose a night's training, and a spoilt training never recovers.
MOST_SKIPPED_STEPS = 5


class GuardedTrainer(nnUNetTrainer):
    """Train as nnU-Net does, and survive.

    - A step whose loss or gradients are not finite is skipped and explained; a few in a row end the training with a
      checkpoint of the weights before them.
    - A checkpoint is either whole or the one before. A damaged one is noticed, and the newest whole one is taken.
    - A full disk costs a checkpoint, not the training.
    - When a background worker dies, the error gives the cause.
    - A CUDA device that has bf16 trains in it, and a CPU that has it where the user says so.
    """

    # nnU-Net reads the parameter names of this method, so they are spelled out.
    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  the default of nnU-Net's own signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self._training_dtype = training_dtype(self.device)
        if self._training_dtype is torch.bfloat16:
            self.grad_scaler = None
            other = "=fp16 for nnU-Net's fp16" if self.device.type == "cuda" else " unset for float32"
            self.print_to_log_file(f"Training in bf16 (NNUNET_MAMBA_PRECISION{other})")
        self._best_ema: float | None
        self._logged = tuple(self.logger.local_logger.my_fantastic_logging)
        self._has_loaded = False
        self._has_written_latest = False
        self._sentinel: Sentinel | None = None
        self._workers: list[BaseProcess] = []

    @property
    def bare_network(self) -> nn.Module:
        """The network without what torch.compile and distributed training wrap around it."""
        return bare_network(self.network)

    @property
    def _worker_messages(self) -> Path:
        return Path(self.output_folder) / messages_file(self.local_rank)

    def initialize(self) -> None:
        """Build what nnU-Net builds, and watch the loss and the optimiser.

        Raises:
            ValueError: the file of ``-pretrained_weights`` is no checkpoint, or could run code.
        """
        refuse_unsafe_pretrained_weights()
        super().initialize()
        self._sentinel = Sentinel(self.bare_network, most_in_a_row=MOST_SKIPPED_STEPS)
        self._sentinel.watch(self.loss, self.optimizer)

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Start nnU-Net's background workers and keep what they write to standard error."""
        with worker_messages_in(self._worker_messages):
            loaders: tuple[Any, Any] = super().get_dataloaders()
        self._workers = worker_processes(*loaders)
        return loaders

    def run_training(self) -> None:
        """Train as nnU-Net does; if a background worker dies, say why.

        Raises:
            RuntimeError: a background worker died; gives the cause.
            TrainingStoppedError: too many steps in a row were not finite.
        """
        if self.logger.resume:
            self._continue_from_spare()
        try:
            super().run_training()
        except RuntimeError as error:
            explained = explain(error, self._worker_messages, self._workers)
            if explained is None:
                raise
            self.print_to_log_file(str(explained), also_print_to_console=False)
            raise explained from error

    def on_train_start(self) -> None:
        """Delete half-written files of a killed run, and write the best checkpoint if that run had no time to.

        How the images were converted is kept beside the plans, for the day on which they are somewhere else.
        """
        super().on_train_start()
        assert self._sentinel is not None
        # nnU-Net loads pretrained weights after it has initialised.
        self._sentinel.begin()
        if self.local_rank == 0:
            remove_partial_files(Path(self.output_folder))
            folder, dataset = Path(self.output_folder_base), self.plans_manager.dataset_name
            if (sentence := keep_conversion(folder, dataset, self.dataset_json)) is not None:
                self.print_to_log_file(sentence)
        self._catch_up_best()

    def on_train_end(self) -> None:
        """Write the final checkpoint as nnU-Net does, and delete what is only needed to continue."""
        super().on_train_end()
        if self.local_rank == 0 and not self.disable_checkpointing:
            folder = Path(self.output_folder)
            for path in (folder / SPARE, *folder.glob(MESSAGES_FILES)):
                path.unlink(missing_ok=True)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Train on one batch as nnU-Net does, unless that would spoil the weights.

        Raises:
            TrainingStoppedError: too many batches in a row would; a checkpoint of the weights is written first.
        """
        assert self._sentinel is not None
        try:
            with training_precision(self.network, self.device, self._training_dtype):
                outputs: dict[str, Any] = super().train_step(batch)
            self._sentinel.passed(self.grad_scaler)
        except NonFiniteStepError as error:
            failure = error.with_traceback(None)
            scaler: Any = self.grad_scaler
            if failure.in_optimizer and scaler is not None:
                # nnU-Net got as far as the scaler's step; update makes the scaler ready for the next one.
                scaler.update()
        else:
            return outputs
        # After the except block: inside it, the error's traceback keeps the activations of the step in memory.
        skipped = self._sentinel.skip(failure, batch, self._forward_and_backward(batch))
        # All processes have the same to say, so one of them prints it.
        self.print_to_log_file(f"Epoch {self.current_epoch}: {skipped}", also_print_to_console=self.local_rank == 0)
        if skipped.is_one_too_many:
            self._save_to_repeat_this_epoch()
            if self.is_ddp:
                # The first process that fails ends the others, even in the middle of a checkpoint.
                dist.barrier()
            raise TrainingStoppedError(self._way_out(skipped.cause))
        return {"loss": np.array(np.nan, dtype=np.float32)}

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log as nnU-Net does; skipped steps do not count."""
        happened = [outputs for outputs in train_outputs if np.isfinite(outputs["loss"]).all()]
        super().on_train_epoch_end(happened or train_outputs)

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Log as nnU-Net does, and explain a validation loss that is not finite."""
        super().on_validation_epoch_end(val_outputs)
        if not np.isfinite(self.logger.get_value("val_losses", step=-1)):
            self.print_to_log_file(
                f"Epoch {self.current_epoch}: the validation loss is not finite. Validation runs in the precision of "
                "nnUNetv2_predict, so predictions of these weights may not be finite either."
            )

    def on_epoch_end(self) -> None:
        """Log and write checkpoints as nnU-Net does, without the plot if the disk is full."""
        try:
            super().on_epoch_end()
        except OSError as error:
            # nnU-Net plots last, and then counts the epoch.
            self.print_to_log_file(f"No progress.png: {error}")
            self.current_epoch += 1

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint that is either whole or the one before.

        Raises:
            CheckpointWriteError: the final one does not fit on the disk. Others are written again after later epochs.
        """
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        try:
            keeps_spare = self._has_loaded or self._has_written_latest
            write_checkpoint(Path(filename), super().save_checkpoint, keeps_spare=keeps_spare)
            self._has_written_latest |= Path(filename).name == LATEST
        except CheckpointWriteError as error:
            if Path(filename).name == FINAL:
                raise CheckpointWriteError(f"{error}; free space and run the same command with --c") from error
            self.print_to_log_file(f"{error}. Training goes on with the one before it in place: free space soon.")

    def load_checkpoint(self, filename_or_checkpoint: dict[str, Any] | str) -> None:
        """Load a checkpoint, or, if its file is damaged, the newest whole one beside it.

        Args:
            filename_or_checkpoint: path of the file.

        Raises:
            CodeInCheckpointError: a file could run code, so it is not read.
            RuntimeError: no whole checkpoint is left.
            ValueError: the whole one lacks what nnU-Net needs to go on, or belongs to another network.
        """
        if isinstance(filename_or_checkpoint, dict):
            super().load_checkpoint(filename_or_checkpoint)
            return
        whole, damaged = newest_whole_checkpoint(Path(filename_or_checkpoint))
        for name, reason in damaged.items():
            self.print_to_log_file(f"{name} is damaged: it {reason}")
        if damaged:
            self.print_to_log_file(f"Continuing from {whole.name} instead")
        stored = read_checkpoint(whole, entries=RESUMED)
        problem = problem_of_logging(stored["logging"], needs=self._logged)
        if problem is not None:
            raise ValueError(f"{whole} {problem}. Delete it and start again without --c")
        del stored
        # nnU-Net does this too, but bare_names_for needs the network before that.
        if not self.was_initialized:
            self.initialize()
        # Alone, nnU-Net would run code that is in the file.
        with no_code_from_files(), bare_names_for(self.bare_network):
            try:
                super().load_checkpoint(str(whole))
            except (LookupError, ValueError, TypeError, RuntimeError) as error:
                # torch lists every weight; the first is enough.
                reason = " ".join(line.strip() for line in str(error).splitlines()[:2])[:300]
                raise ValueError(
                    f"{whole} does not fit what {type(self).__name__} trains ({reason}). Name the trainer, the plans "
                    "and the configuration that wrote it, or start again without --c"
                ) from error
        self._has_loaded = True
        if self._sentinel is not None:
            self._sentinel.begin()

    def _continue_from_spare(self) -> None:
        """Load the spare if nnU-Net, which does not know it, has found no checkpoint or an older one.

        This happens when a damaged latest checkpoint was deleted.
        """
        spare = Path(self.output_folder) / SPARE
        if spare.with_name(LATEST).is_file() or not spare.is_file():
            return
        epoch = epoch_of_whole(spare)
        if not self._has_loaded or (epoch is not None and epoch > self.current_epoch):
            self.print_to_log_file(f"There is no {LATEST}: continuing from {SPARE}")
            self.load_checkpoint(str(spare))

    def _catch_up_best(self) -> None:
        """Write the best checkpoint if a run was killed between writing the latest one and this, with equal weights."""
        averages = self.logger.get_value("ema_fg_dice", step=None)
        if not averages or len(averages) != self.current_epoch:
            return
        if self._best_ema is None or averages[-1] > self._best_ema:
            self._best_ema = averages[-1]
            self._save_as_of_last_epoch(BEST)

    def _save_to_repeat_this_epoch(self) -> None:
        """Write the latest checkpoint in the middle of an epoch; a run that continues repeats this epoch."""
        for values in self.logger.local_logger.my_fantastic_logging.values():
            del values[self.current_epoch :]
        self._save_as_of_last_epoch(LATEST)

    def _save_as_of_last_epoch(self, name: str) -> None:
        """Write a checkpoint that continues with the current epoch; nnU-Net's own continues with the one after it."""
        self.current_epoch -= 1
        self.save_checkpoint(str(Path(self.output_folder) / name))
        self.current_epoch += 1

    def _forward_and_backward(self, batch: dict[str, Any]) -> Callable[[nn.Module], object]:
        """Return a function that runs one training step's two passes with a network and changes no weight."""

        def run(network: nn.Module) -> None:
            target = batch["target"]
            targets = [one.to(self.device) for one in target] if isinstance(target, list) else target.to(self.device)
            is_cuda = self.device.type == "cuda"
            images = batch["data"].to(self.device)
            with (
                training_precision(network, self.device, self._training_dtype),
                torch.autocast("cuda") if is_cuda else nullcontext(),
            ):
                loss = self.loss(network(images), targets)
            loss.backward()

        return run

    def _way_out(self, error: str) -> str:
        half = " or let a GPU train in bf16 (NNUNET_MAMBA_PRECISION=bf16)" if self.grad_scaler is not None else ""
        return (
            f"Training stopped in epoch {self.current_epoch}: {MOST_SKIPPED_STEPS + 1} steps in a row were not finite "
            f"({error}). What was found is in {self.log_file}. The weights before these steps are in {LATEST}: put the "
            f"named cases right{half} and continue with --c, or start again with the other recipe, whose learning rate "
            "is another (_paper or _nnunet after the trainer's name)."
        )
