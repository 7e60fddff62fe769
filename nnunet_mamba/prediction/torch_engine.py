"""The engine of a model whose networks run in torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from nnunet_mamba.prediction.engine import Engine
from nnunet_mamba.prediction.nnunet_way import NnunetWay
from nnunet_mamba.prediction.plan import PredictionPlan
from nnunet_mamba.prediction.sliding_window import SlidingWindow
from nnunet_mamba.system.machine import available_cores


def torch_engine(
    plan: PredictionPlan,
    networks: Sequence[nn.Module],
    *,
    mirror_axes: Sequence[int],
    device: torch.device,
    plans: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    postprocessing: Sequence[str] = (),
) -> Engine:
    """Return the engine of networks.

    Args:
        plan: what the plans say.
        networks: one for each fold; they are moved to ``device``.
        mirror_axes: axes of the network's input along which copies are mirrored and averaged.
        device: that the networks run on.
        plans: nnU-Net's plans.json, for what only nnU-Net can do; so is ``dataset_json``.
        dataset_json: of the training data.
        postprocessing: what is done to label maps, see ``postprocessing.postprocess``.

    Raises:
        ValueError: only nnU-Net can predict with these plans, and it does not know what they name.
    """
    ready = [network.to(device).eval() for network in networks]

    def nnunet() -> NnunetWay:
        return NnunetWay(
            plans,
            plan.configuration,
            dataset_json,
            networks=ready,
            mirror_axes=mirror_axes,
            device=device,
        )

    def leaves_cores_idle() -> bool:
        return device.type != "cpu" or torch.get_num_threads() < available_cores()

    window = None
    if plan.is_2d:
        window = SlidingWindow(
            ready,
            window=(plan.patch_size[0], plan.patch_size[1]),
            n_heads=plan.heads.n_heads,
            mirror_axes=mirror_axes,
            device=device,
        )
    return Engine(plan, window, nnunet=nnunet, postprocessing=postprocessing, leaves_cores_idle=leaves_cores_idle)
