"""A moving average of a network's weights, which validates and predicts in their place.

    a ← d a + (1 - d) w,    d = min(decay, (1 + n) / (10 + n))

after training step n = 1, 2, …, with w the weights that the optimiser has just changed; after step 0, a = w. The steps
of a small batch scatter around what a network has learned; their average lies closer to it and generalises better
(Polyak and Juditsky 1992, doi:10.1137/0330046; Tarvainen and Valpola 2017, arXiv:1703.01780). The lower d of the first
steps lets go of the random weights, so that short trainings gain, too (as TensorFlow's ExponentialMovingAverage does).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nnunet_mamba.models.nnunet.checkpoint_entries import AVERAGING, N_STEPS, TRAINING_WEIGHTS


class AveragedWeights:
    """Keeps the average of a network's parameters over the steps of an optimiser.

    One copy of the parameters lies aside: the average while the network trains, and the weights of the training while
    the average is in the network. Parameters change in place, so what torch.compile, several processes and the
    optimiser know of them stays true. Buffers are the network's own in both cases.

    The average hears of steps from the optimiser, so one that the sentinel or a loss scaler skips changes nothing. It
    travels with the optimiser's state: a checkpoint that is written in the block of ``in_network`` has the average as
    the network's weights and, inside ``optimizer_state``, the weights to train on with.

    Args:
        network: without wrappers of torch.compile or of several processes.
        optimizer: of its parameters.
        decay: of the average per step, in [0, 1).

    Raises:
        ValueError: the decay is none.
    """

    def __init__(self, network: nn.Module, optimizer: Optimizer, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"a decay of {decay} for averaged weights, expected 0 <= decay < 1, such as 0.999")
        self.decay = decay
        self.n_steps = 0
        self._parameters = dict(network.named_parameters())
        self._aside: list[Tensor] = []
        self._is_in_network = False
        optimizer.register_step_post_hook(self._update)
        optimizer.register_state_dict_post_hook(self._add_to_state)
        optimizer.register_load_state_dict_pre_hook(self._take_from_state)

    @contextmanager
    def in_network(self) -> Iterator[None]:
        """Let the network have the averaged weights in the block; before the first step it keeps its own."""
        was_in_network = self._is_in_network
        self.put_in()
        try:
            yield
        finally:
            if not was_in_network:
                self.take_out()

    def put_in(self) -> None:
        """Give the network the averaged weights, unless it has them or there are none yet."""
        if not self._is_in_network and self.n_steps:
            self._exchange()

    def take_out(self) -> None:
        """Give the network back the weights of its training, unless it has them."""
        if self._is_in_network:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for place, parameter in enumerate(self._parameters.values()):
            kept = parameter.clone()
            parameter.copy_(self._aside[place])
            self._aside[place] = kept
        self._is_in_network = not self._is_in_network

    @torch.no_grad()
    def _update(self, optimizer: Optimizer, *_: Any) -> None:
        if self._is_in_network:
            raise RuntimeError(
                "The optimiser has changed averaged weights: call on_validation_epoch_end, which takes them out of the "
                "network, before the next training step"
            )
        # A fused optimiser is called even where its scaler has found gradients that are not finite, and does nothing.
        found = getattr(optimizer, "found_inf", None)
        if found is not None and bool(found):
            return
        parameters: list[Tensor] = list(self._parameters.values())
        if self.n_steps == 0:
            self._aside = [parameter.clone() for parameter in parameters]
        else:
            decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
            torch._foreach_lerp_(self._aside, parameters, 1 - decay)
        self.n_steps += 1

    def _add_to_state(self, _: Optimizer, state: dict[str, Any]) -> dict[str, Any] | None:
        if not self._is_in_network:
            return None
        weights = dict(zip(self._parameters, self._aside, strict=True))
        return {**state, AVERAGING: {N_STEPS: self.n_steps, TRAINING_WEIGHTS: weights}}

    @torch.no_grad()
    def _take_from_state(self, _: Optimizer, state: dict[str, Any]) -> None:
        """Begin anew, or go on where a checkpoint ends; the network has the checkpoint's weights already."""
        self._is_in_network = False
        self.n_steps, self._aside = 0, []
        stored = state.get(AVERAGING)
        if stored is None:
            return
        weights = stored[TRAINING_WEIGHTS]
        shapes = {name: parameter.shape for name, parameter in self._parameters.items()}
        if shapes != {name: value.shape for name, value in weights.items()}:
            raise ValueError("the weights that it trains on with have other names or shapes than the network's")
        self._aside = [parameter.clone() for parameter in self._parameters.values()]
        for name, parameter in self._parameters.items():
            parameter.copy_(weights[name])
        self.n_steps = stored[N_STEPS]
