"""Plans written by hand, and nnU-Net's own way with them, which ours must equal."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind

RESAMPLING = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
CT = {"mean": 40.0, "std": 120.0, "percentile_00_5": -200.0, "percentile_99_5": 300.0, "min": -1000.0, "max": 2000.0}


@pytest.fixture
def make_plans() -> Callable[..., dict[str, Any]]:
    """A function that returns plans of one configuration."""

    def make(
        *,
        patch_size=(16, 24),
        spacing=None,
        schemes=("ZScoreNormalization",),
        uses_mask=(False,),
        transpose=(0, 1, 2),
        **entries,
    ) -> dict[str, Any]:
        configuration = {
            "data_identifier": "nnUNetPlans_2d",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": list(patch_size),
            "median_image_size_in_voxels": list(patch_size),
            "spacing": list(spacing or [1.0] * len(patch_size)),
            "normalization_schemes": list(schemes),
            "use_mask_for_norm": list(uses_mask),
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": {**RESAMPLING, "order": 3},
            "resampling_fn_seg_kwargs": {**RESAMPLING, "is_seg": True},
            "resampling_fn_probabilities_kwargs": RESAMPLING,
            "batch_dice": True,
            "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
            **entries,
        }
        backward = [list(transpose).index(axis) for axis in range(3)]
        return {
            "dataset_name": "Dataset901_Tiny",
            "plans_name": "nnUNetPlans",
            "image_reader_writer": "NaturalImage2DIO",
            "transpose_forward": list(transpose),
            "transpose_backward": backward,
            "configurations": {"2d": configuration},
            "experiment_planner_used": "ExperimentPlanner",
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(i): dict(CT) for i in range(len(schemes))},
        }

    return make


@pytest.fixture
def make_dataset_json() -> Callable[..., dict[str, Any]]:
    """A function that returns what dataset.json says of channels and labels."""

    def make(n_channels=1, labels=None, order=None) -> dict[str, Any]:
        found = {
            "channel_names": {str(i): f"channel {i}" for i in range(n_channels)},
            "labels": labels or {"background": 0, "lesion": 1},
            "numTraining": 10,
            "file_ending": ".png",
        }
        return found if order is None else {**found, "regions_class_order": list(order)}

    return make


class Rough(nn.Module):
    """A network of one layer whose logits differ from pixel to pixel, and are not mirrored with the image."""

    def __init__(self, channels: int, heads: int, axes: int = 2, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layer = (nn.Conv2d if axes == 2 else nn.Conv3d)(channels, heads, 5, padding=2)
        for parameter in self.layer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def forward(self, x):
        return self.layer(x)


@dataclass
class Stock:
    """nnU-Net's own prediction of one image after the other."""

    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    networks: list[nn.Module]
    mirror_axes: tuple[int, ...]

    def __post_init__(self) -> None:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        self.manager = PlansManager(copy.deepcopy(self.plans))
        self.configuration = self.manager.get_configuration("2d")
        self.labels = self.manager.get_label_manager(self.dataset_json)
        self.predictor = nnUNetPredictor(
            use_mirroring=bool(self.mirror_axes), device=torch.device("cpu"), allow_tqdm=False
        )
        weights = [network.state_dict() for network in self.networks]
        self.predictor.manual_initialization(
            copy.deepcopy(self.networks[0]),
            self.manager,
            self.configuration,
            weights,
            self.dataset_json,
            "",
            self.mirror_axes or None,
        )

    def prepare(self, image, spacing):
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            image, None, {"spacing": list(spacing)}, self.manager, self.configuration, self.dataset_json
        )
        return data, properties

    def logits(self, data) -> np.ndarray:
        data = torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32))
        return self.predictor.predict_logits_from_preprocessed_data(data).numpy()

    def finish(self, logits, properties, *, with_probabilities=False):
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        return convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, self.manager, self.configuration, self.labels, properties, with_probabilities
        )

    def label_map(self, image, spacing):
        data, properties = self.prepare(image, spacing)
        return self.finish(self.logits(data), properties)


@pytest.fixture
def make_stock(make_plans, make_dataset_json) -> Callable[..., Stock]:
    """A function that returns nnU-Net's own prediction with a rough network."""

    def make(*, n_channels=1, labels=None, order=None, n_folds=1, mirror_axes=(), **plans) -> Stock:
        dataset_json = make_dataset_json(n_channels, labels, order)
        made = make_plans(
            **{"schemes": ("ZScoreNormalization",) * n_channels, "uses_mask": (False,) * n_channels, **plans}
        )
        counted = [name for name in dataset_json["labels"] if name != "ignore"]
        n_heads = len(counted) - (order is not None)
        axes = len(made["configurations"]["2d"]["patch_size"])
        networks = [Rough(n_channels, n_heads, axes, seed=fold).eval() for fold in range(n_folds)]
        return Stock(made, dataset_json, networks, tuple(mirror_axes))

    return make


@pytest.fixture
def make_engine():
    """A function that returns our engine with the networks of nnU-Net's own prediction."""
    from nnunet_mamba.prediction.engine import Engine
    from nnunet_mamba.prediction.plan import read_prediction_plan
    from nnunet_mamba.prediction.torch_engine import torch_engine

    def make(stock: Stock) -> Engine:
        return torch_engine(
            read_prediction_plan(stock.plans, "2d", stock.dataset_json, where="the model"),
            copy.deepcopy(stock.networks),
            mirror_axes=stock.mirror_axes,
            device=torch.device("cpu"),
            plans=stock.plans,
            dataset_json=stock.dataset_json,
        )

    return make


@pytest.fixture
def make_image():
    """A function that returns an image with margins of zeros."""

    def make(*shape: int, seed: int = 0, margin: int = 0, dtype=np.float32) -> np.ndarray:
        rng = np.random.default_rng(seed)
        image = rng.uniform(1, 255, shape).astype(dtype)
        if margin:
            image[..., :margin, :] = 0
            image[..., -margin:] = 0
        return image

    return make


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    """No model takes what happens to lie in the folders of whoever runs the tests."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def photograph_conversion():
    """How photographs were converted for the models that fixtures write: resized, with masks of 0 and 255."""
    return ImageConversion(
        kind=ImageKind.PHOTOGRAPHS,
        channel_names=("R", "G", "B"),
        labels={"background": 0, "disc": 1},
        source_labels={"background": (0,), "disc": (255,)},
        size=(64, 64),
    )
