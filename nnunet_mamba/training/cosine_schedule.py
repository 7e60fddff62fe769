"""One cosine over the whole run, as a function of the epoch: lr = final + (initial - final) (1 + cos(pi e / E)) / 2."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class CosineSchedule(LRScheduler):
    """Set the learning rate from the epoch alone, so that a resumed run continues on the same curve.

    Args:
        optimizer: all its parameter groups get the same learning rate.
        initial_lr: at epoch 0.
        final_lr: approached by the last epoch.
        num_epochs: length of the run, >= 1.
    """

    def __init__(self, optimizer: Optimizer, initial_lr: float, final_lr: float, *, num_epochs: int) -> None:
        self.initial_lr = initial_lr
        self.final_lr = final_lr
        self.num_epochs = num_epochs
        super().__init__(optimizer)

    # nnU-Net calls step(epoch) at the start of every epoch; torch's own signature has the same name for it.
    def step(self, epoch: int | None = None) -> None:
        """Set the learning rate of ``epoch``, or of the epoch after the last one."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        progress = min(self.last_epoch / self.num_epochs, 1.0)
        lr = self.final_lr + (self.initial_lr - self.final_lr) * (1 + math.cos(math.pi * progress)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._last_lr = [lr] * len(self.optimizer.param_groups)
