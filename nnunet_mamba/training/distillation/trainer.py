"""Training a small network with the help of a larger one that is trained already."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from nnunet_mamba.presets import Preset
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.distillation.losses import teacher_terms
from nnunet_mamba.training.distillation.settings import SETTINGS_VARIABLE, TEACHER_TERMS, DistillationSettings
from nnunet_mamba.training.distillation.teacher import find_teacher, load_teacher
from nnunet_mamba.training.generated_trainers import load_trainer
from nnunet_mamba.training.preset_trainer import PresetTrainer


class DistillationTrainer(PresetTrainer):
    """Train as ``PresetTrainer`` does, with terms in the training loss that hold the network to a teacher's outputs.

    The preset is of a network with one output. Validation losses are nnU-Net's own, to be compared with those of
    other trainers. Checkpoints hold the student alone: predicting needs no teacher, resuming does.
    """

    teacher_preset: ClassVar[Preset]
    needs_single_output: ClassVar[bool] = True

    settings: DistillationSettings
    teacher: nn.Module
    loss: Any

    def on_train_start(self) -> None:
        """Load the teacher before anything else, and record it with the settings."""
        checkpoint = self.load_teacher()
        super().on_train_start()
        if self.local_rank == 0:
            with replacing(self._record) as temporary:
                record = {"teacher": str(checkpoint), "settings": asdict(self.settings)}
                temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        self.print_to_log_file(f"Distillation from {checkpoint} with {SETTINGS_VARIABLE}={self.settings.as_text()}")

    def load_teacher(self) -> Path:
        """Find and load what a training needs beyond its data, and return the teacher's checkpoint.

        Raises:
            FileNotFoundError: there is no teacher.
            ValueError: the teacher is not one for this training, or the settings are not.
        """
        self.settings = self.chosen_settings()
        checkpoint = find_teacher(self, self.teacher_preset.trainer)
        if not self.was_initialized:
            self.initialize()
        self._refuse_changed_settings()
        self.teacher = load_teacher(checkpoint, self)
        if self._do_i_compile():
            self.teacher = cast("nn.Module", torch.compile(self.teacher))
        return checkpoint

    @classmethod
    def chosen_settings(cls) -> DistillationSettings:
        """Return the settings of the variant in the trainer's name, as the environment changes them.

        Raises:
            ValueError: the environment gives no settings, or contradicts the name.
        """
        variants = cls.preset.training_variants.get(TrainerName.parse(cls.__name__).base, {})
        return DistillationSettings.from_environment(variants.get(cls.variant_of_name or "", {}))

    def prepare_trial_steps(self) -> None:
        """Build a teacher with untrained weights: its outputs do not matter, so that none needs to be trained yet."""
        self.settings = self.chosen_settings()
        teacher = load_trainer(self.teacher_preset.trainer).build_network_architecture(
            self.plans_manager,
            self.configuration_manager,
            self.num_input_channels,
            self.label_manager.num_segmentation_heads,
            enable_deep_supervision=False,
        )
        self.teacher = teacher.to(self.device).eval()

    @property
    def _record(self) -> Path:
        return Path(self.output_folder) / "distillation.json"

    def _refuse_changed_settings(self) -> None:
        """Raise if a training that is resumed began with other settings."""
        if self.current_epoch == 0 or not self._record.exists():
            return
        began = self._recorded_settings()
        if began != self.settings:
            raise ValueError(
                f"This training began with {SETTINGS_VARIABLE}={began.as_text()} and would continue with "
                f"{self.settings.as_text()}. Set the variable to the former; or delete {self._record} to go on with "
                f"the latter."
            )

    def _recorded_settings(self) -> DistillationSettings:
        try:
            settings = read_json_object(self._record)["settings"]
            return DistillationSettings(**{name: float(value) for name, value in settings.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self._record} does not tell the settings that this training began with ({error}). Delete it to go "
                f"on with {self.settings.as_text()}."
            ) from error

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Train on one batch as nnU-Net does, with the teacher's terms in the loss; return these terms too."""
        image = batch["data"].to(self.device, non_blocking=True)
        nnunet_loss = self.loss
        terms: dict[str, Tensor] = {}

        # nnU-Net calls it in its own autocast, so the teacher is as precise as the student.
        def loss(logits: Tensor, target: Tensor) -> Tensor:
            terms["hard"] = nnunet_loss(logits, target)
            # Not inference_mode: its tensors cannot take part in the student's backward.
            with torch.no_grad():
                taught = self.teacher(image)
            has_regions = self.label_manager.has_regions
            terms.update(teacher_terms(logits, taught, self.settings, has_regions=has_regions))
            return self.settings.weighted_sum(terms)

        self.loss = loss
        try:
            outputs = super().train_step({**batch, "data": image})
        finally:
            self.loss = nnunet_loss
        if not np.isfinite(outputs["loss"]):
            return outputs
        return {**outputs, **{name: term.detach().cpu().numpy() for name, term in terms.items()}}

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log as nnU-Net does, and the mean of every term before its weight."""
        super().on_train_epoch_end(train_outputs)
        names = ("hard", *TEACHER_TERMS)
        values = {name: [outputs[name] for outputs in train_outputs if name in outputs] for name in names}
        means = ", ".join(f"{name} {np.mean(of_term):.4g}" for name, of_term in values.items() if of_term)
        self.print_to_log_file("train_loss before weights:", means)
