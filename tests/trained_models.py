"""Models as nnU-Net leaves them in its results, with random weights: nothing is planned or trained."""

import json

import torch

from nnunet_mamba import create_network
from nnunet_mamba.models.planned_network import planned_network

DATASET = "Dataset901_Tiny"
COLOUR = {"0": "R", "1": "G", "2": "B"}
ONE_LABEL = {"background": 0, "disc": 1}
REGIONS = {"labels": {"background": 0, "disc": [1, 2], "core": [2]}, "regions_class_order": [1, 2]}
# What nnU-Net plans for small images, with widths that are quicker than its own.
STAGES = {
    "n_stages": 3,
    "features_per_stage": [8, 16, 24],
    "conv_op": "torch.nn.modules.conv.Conv2d",
    "kernel_sizes": [[3, 3]] * 3,
    "strides": [[1, 1], [2, 2], [2, 2]],
    "n_conv_per_stage": [2] * 3,
    "n_conv_per_stage_decoder": [2] * 2,
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def resampling(order, *, is_seg):
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}


def plans_of_nnunet(*, n_channels=3, patch_size=(64, 64), scheme="ZScoreNormalization"):
    """All that nnU-Net 2.8 writes into nnUNetPlans.json."""
    function = "resample_data_or_seg_to_shape"
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [999.0, 1.0, 1.0],
        "original_median_shape_after_transp": [1, 52, 60],
        "image_reader_writer": "NaturalImage2DIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "base": {
                "data_identifier": "nnUNetPlans_2d",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 9,
                "patch_size": list(patch_size),
                "median_image_size_in_voxels": [52.0, 60.0],
                "spacing": [1.0, 1.0],
                "normalization_schemes": [scheme] * n_channels,
                "use_mask_for_norm": [False] * n_channels,
                "resampling_fn_data": function,
                "resampling_fn_seg": function,
                "resampling_fn_data_kwargs": resampling(3, is_seg=False),
                "resampling_fn_seg_kwargs": resampling(1, is_seg=True),
                "resampling_fn_probabilities": function,
                "resampling_fn_probabilities_kwargs": resampling(1, is_seg=False),
                "architecture": {
                    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                    "arch_kwargs": json.loads(json.dumps(STAGES)),
                    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
                },
                "batch_dice": True,
            },
            "2d": {"inherits_from": "base", "batch_size": 4},
            "other": {"patch_size": [8, 8]},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(channel): {"max": 206.0, "mean": 169.5, "std": float("nan")} for channel in range(n_channels)
        },
        "nnunet_mamba": {"base": "nnUNetPlans", "configurations": {"2d": "measured on a machine called vm"}},
    }


def checkpoint_of_nnunet(trainer, weights, *, fold, plans, dataset, epochs=3):
    """All entries that nnU-Net 2.8 saves."""
    starts = [1000.0 + 10 * epoch for epoch in range(epochs)]
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.001, "params": [0]}]},
        "grad_scaler_state": None,
        "logging": {
            "train_losses": [0.5] * epochs,
            "epoch_start_timestamps": starts,
            "epoch_end_timestamps": [start + 4.5 for start in starts],
        },
        "_best_ema": 0.75,
        "current_epoch": epochs,
        "init_args": {
            "plans": plans,
            "configuration": "2d",
            "fold": fold,
            "dataset_json": dataset,
            "device": torch.device("cpu"),
        },
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": (0, 1),
    }


def write_results(trainer, results, *, folds=(0,), labels=None, n_channels=3):
    """Write a folder of nnU-Net's results for a trainer, and return it."""
    plans = plans_of_nnunet(n_channels=n_channels)
    dataset = {
        "channel_names": dict(list(COLOUR.items())[:n_channels]),
        **(labels or {"labels": ONE_LABEL}),
        "numTraining": 10,
        "file_ending": ".png",
        "converted_by": "somebody",
    }
    folder = results / DATASET / f"{trainer}__nnUNetPlans__2d"
    for number, fold in enumerate(folds):
        torch.manual_seed(number)
        weights = _random(network_for(trainer, plans, dataset))
        (folder / f"fold_{fold}").mkdir(parents=True)
        content = checkpoint_of_nnunet(trainer, weights, fold=fold, plans=plans, dataset=dataset)
        torch.save(content, folder / f"fold_{fold}/checkpoint_final.pth")
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


def _random(network):
    """Weights without any that is as it was created; layers that have two names keep equal ones."""
    with torch.no_grad():
        for value in network.state_dict(keep_vars=True).values():
            value.copy_(torch.rand_like(value) if value.is_floating_point() else torch.full_like(value, 7))
    return network.state_dict()


def network_for(trainer, plans, dataset):
    """The network that a trainer trains; a small one stands for those that only nnU-Net builds."""
    planned = plans["configurations"]["base"]
    n_outputs = len(dataset["labels"]) - ("regions_class_order" in dataset)
    n_channels = len(dataset["channel_names"])
    described = planned_network(trainer, planned, input_channels=n_channels, num_classes=n_outputs)
    if described is None:
        return torch.nn.Conv2d(n_channels, n_outputs, 3)
    return create_network(described.preset, n_channels, n_outputs, **described.arguments)


def stored_weights(folder, fold=0):
    """The weights in a fold's checkpoint, as torch reads them."""
    file = folder / f"fold_{fold}/checkpoint_final.pth"
    return torch.load(file, weights_only=False)["network_weights"]


def assert_same_weights(found, expected):
    """Compare names, kinds of numbers and all bits."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
