"""The networks of a trained model, with their weights: one for each fold."""

import inspect
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from typing import Any

from torch import nn

from nnunet_mamba.models.model import Model
from nnunet_mamba.models.nnunet.architecture_names import refuse_other_than_layers
from nnunet_mamba.models.planned_network import other_kinds

_LONGEST_TOLD = 300


def trained_networks(model: Model) -> list[nn.Module]:
    """Return the networks of a model's folds, ready to predict, on the CPU.

    Args:
        model: with the folds that are wanted.

    Raises:
        ValueError: weights that do not fit the network, or damaged ones; plans that name no layers; or a trainer that
            nnU-Net does not find.
        ModuleNotFoundError: the network needs a package that is not installed.
    """
    names = model.description.fold_names
    if model.description.network is None:
        networks = _built_by_nnunet(model, names)
    else:
        networks = [model.build_network(fold) for fold in names]
    for network in networks:
        network.requires_grad_(False)
    return networks


def _built_by_nnunet(model: Model, folds: Sequence[str]) -> list[nn.Module]:
    """Return the networks that nnU-Net's own trainer builds of the plans."""
    untrained = _untrained(model)
    networks = []
    for fold in folds:
        network = deepcopy(untrained)
        weights = model.fold_weights(fold)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            told = " ".join(str(error).split())
            text = told if len(told) < _LONGEST_TOLD else f"{told[:_LONGEST_TOLD]} …"
            raise ValueError(f"{model.place}, fold {fold}: the weights do not fit the network: {text}") from error
        if others := other_kinds(weights, untrained.state_dict()):
            raise ValueError(
                f"{model.place}, fold {fold}: the weights do not fit the network: they have another kind of numbers in "
                f"{others[0]}; get the model again"
            )
        networks.append(network.eval())
    return networks


def _untrained(model: Model) -> nn.Module:
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    description = model.description
    refuse_other_than_layers(description.planned, whose=f"The model {model.place}")
    plans = PlansManager(dict(description.plans))
    configuration = plans.get_configuration(description.configuration)
    dataset_json = dict(description.dataset_json)
    try:
        # nnU-Net tells on standard output where it looks.
        with redirect_stdout(io.StringIO()):
            trainer = recursive_find_trainer_class_by_name(description.trainer)
    except RuntimeError as error:
        raise ValueError(
            f"{model.place} was trained by {description.trainer}, which nnU-Net does not find here; install it, or put "
            "its folder into nnUNet_extTrainer"
        ) from error
    build = trainer.build_network_architecture
    # nnU-Net tells the older signature in the same way.
    if "plans_manager" in inspect.signature(build).parameters:
        wanted: tuple[Any, ...] = (plans, configuration)
    else:
        names = ("network_arch_class_name", "network_arch_init_kwargs", "network_arch_init_kwargs_req_import")
        wanted = tuple(getattr(configuration, name) for name in names)
    network: nn.Module = build(
        *wanted,
        determine_num_input_channels(plans, configuration, dataset_json),
        plans.get_label_manager(dataset_json).num_segmentation_heads,
        enable_deep_supervision=False,
    )
    return network
