"""The networks of a trained model, with their weights: one for each fold."""

from collections.abc import Sequence
from copy import deepcopy

from torch import nn

from nnunet_mamba.models.model import Model
from nnunet_mamba.models.nnunet.architecture_names import refuse_other_than_layers


def trained_networks(model: Model) -> list[nn.Module]:
    """Return the networks of a model's folds, ready to predict, on the CPU.

    Args:
        model: with the folds that are wanted.

    Raises:
        ValueError: weights that do not fit the network, or damaged ones, or plans that name no layers.
        ModuleNotFoundError: the network needs a package that is not installed.
        RuntimeError: only nnU-Net can build the network, and it does not know the trainer.
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
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    description = model.description
    plans = PlansManager(dict(description.plans))
    configuration = plans.get_configuration(description.configuration)
    dataset_json = dict(description.dataset_json)
    refuse_other_than_layers(description.planned, whose=f"The model {model.place}")
    trainer = recursive_find_trainer_class_by_name(description.trainer)
    untrained: nn.Module = trainer.build_network_architecture(
        plans,
        configuration,
        determine_num_input_channels(plans, configuration, dataset_json),
        plans.get_label_manager(dataset_json).num_segmentation_heads,
        enable_deep_supervision=False,
    )
    networks = []
    for fold in folds:
        network = deepcopy(untrained)
        try:
            network.load_state_dict(model.fold_weights(fold))
        except RuntimeError as error:
            raise ValueError(f"{model.place}, fold {fold}: the weights do not fit the network: {error}") from error
        networks.append(network.eval())
    return networks
