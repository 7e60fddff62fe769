"""A cosine over the run as a function of the epoch: lr = final + (initial - final) (1 + cos(pi n e / E)) / 2."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class CosineSchedule(LRScheduler):
    """Set the learning rate from the epoch alone, so that a resumed run continues on the same curve.

    Args:
        optimizer: all its parameter groups get the same learning rate.
        initial_lr: at epoch 0.
        final_lr: at the bottom of the curve; one half wave approaches it by the last epoch.
        num_epochs: length of the run, >= 1.
        half_waves: how often the rate goes down or up in the run, down first; 0 for a constant rate.
    """

    def __init__(
        self, optimizer: Optimizer, initial_lr: float, final_lr: float, *, num_epochs: int, half_waves: int = 1
    ) -> None:
        self.initial_lr = initial_lr
        self.final_lr = final_lr
        self.num_epochs = num_epochs
        self.half_waves = half_waves
        super().__init__(optimizer)

    # nnU-Net calls step(epoch) at the start of every epoch; torch's own signature has the same name for it.
    def step(self, epoch: int | None = None) -> None:
        """Set the learning rate of ``epoch``, or of the epoch after the last one."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        progress = min(self.last_epoch / self.num_epochs, 1.0)
        above_final = (self.initial_lr - self.final_lr) * (1 + math.cos(math.pi * self.half_waves * progress)) / 2
        lr = self.final_lr + above_final
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._last_lr = [lr] * len(self.optimizer.param_groups)
