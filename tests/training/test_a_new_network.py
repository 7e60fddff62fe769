"""A new network is its network, its preset, its recipe and its trainer: two toys go through everything there is.

The first is for images and may have two heads. The second is for volumes only and has a single head, not where the
others have theirs, and pads nothing.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from typer.testing import CliRunner

import nnunet_mamba
from nnunet_mamba import bundled, presets
from nnunet_mamba.cli.main import app
from nnunet_mamba.networks.complexity import measure_complexity
from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.planner import plan_configuration
from nnunet_mamba.planning.planning_request import PlanningRequest
from nnunet_mamba.planning.plans_files import BasePlans
from nnunet_mamba.planning.resolved_trainer import resolve_trainers
from nnunet_mamba.planning.training_step import StepMemory, random_batch
from nnunet_mamba.training.deep_supervision import freeze_heads_without_logits
from nnunet_mamba.training.generated_trainers import load_trainer

TOY = {
    "toy_network.py": '''
from torch import nn

from nnunet_mamba.networks.segmentation_network import SegmentationNetwork


class ToyNetwork(SegmentationNetwork):
    """Segment images by two convolutions.

    Args:
        channels: of the maps.
        deep_supervision: whether there is a head for the pooled map as well.
    """

    published_prefix = "toy."
    published_notice = "Toys of the published code are painted."

    def __init__(self, input_channels, num_classes, *, channels=8, deep_supervision=False):
        coarser = [(2, 4)] if deep_supervision else []
        super().__init__(input_channels, size_multiple=(2, 4), output_reductions=[(1, 1), *coarser])
        self.stem = nn.Conv2d(input_channels, channels, 3, padding=1)
        self.decoder = ToyDecoder(channels, num_classes, deep_supervision=deep_supervision)

    @property
    def published_names(self):
        return {"stem": "conv1", "decoder.seg_layers.0": "final"}

    def segment(self, x):
        return self.decoder(self.stem(x).relu())


class ToyDecoder(nn.Module):
    def __init__(self, channels, num_classes, *, deep_supervision):
        super().__init__()
        self.deep_supervision = deep_supervision
        self.pooling = CountedPooling((2, 4))
        self.seg_layers = nn.ModuleList(nn.Conv2d(channels, num_classes, 1) for _ in range(1 + deep_supervision))

    def forward(self, x):
        logits = self.seg_layers[0](x)
        return [logits, self.seg_layers[1](self.pooling(x))] if self.deep_supervision else logits


class CountedPooling(nn.AvgPool2d):
    def published_multiply_adds(self, x, y):
        return x.numel()
''',
    "toy_preset.py": """
from types import MappingProxyType

from nnunet_mamba.presets import Preset, Size

TOY = Preset(
    name="toy",
    title="Toy",
    trainer="nnUNetTrainerToy",
    network="toy_network:ToyNetwork",
    source="Nobody 2024",
    sizes=(
        Size(
            arguments=MappingProxyType({"channels": 4}),
            reference_input=(3, 1),
            image_size=(256, 256),
            n_parameters=117,
            giga_macs=0.007340032,
            giga_flops=0.014680064,
        ),
    ),
    variants=MappingProxyType({"wide": {"channels": 12}}),
)
""",
    "toy_recipe.py": """
from dataclasses import replace

from nnunet_mamba.training.recipes import NNUNET

TOY = replace(NNUNET, source="Nobody 2024", num_epochs=3, largest_batch_size=6)
""",
    "trainers/nnUNetTrainerToy.py": """
import toy_preset
import toy_recipe

from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerToy(PresetTrainer):
    preset = toy_preset.TOY
    recipe = toy_recipe.TOY
""",
    "volume_toy_network.py": '''
from torch import nn

from nnunet_mamba.networks.segmentation_network import SegmentationNetwork


class VolumeToyNetwork(SegmentationNetwork):
    """Segment volumes by two convolutions.

    Args:
        channels: of the maps.
    """

    def __init__(self, input_channels, num_classes, *, channels=4):
        super().__init__(input_channels, size_multiple=(1, 1, 1), output_reductions=[(1, 1, 1)])
        self.stem = nn.Conv3d(input_channels, channels, 3, padding=1)
        self.output = nn.ModuleDict({"seg_layers": nn.Sequential(nn.ReLU(), nn.Conv3d(channels, num_classes, 1))})

    @property
    def heads(self):
        return (self.output["seg_layers"],)

    def segment(self, x):
        return self.output["seg_layers"](self.stem(x))
''',
    "volume_toy_preset.py": """
from nnunet_mamba.presets.preset import Preset, volume

VOLUME_TOY = Preset(
    name="volume_toy",
    title="Volume toy",
    trainer="nnUNetTrainerVolumeToy",
    network="volume_toy_network:VolumeToyNetwork",
    source="Nobody 2024",
    sizes=(volume(182, 0.17197, 0.34393),),
)
""",
    "trainers/nnUNetTrainerVolumeToy.py": """
import toy_recipe
import volume_toy_preset

from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerVolumeToy(PresetTrainer):
    preset = volume_toy_preset.VOLUME_TOY
    recipe = toy_recipe.TOY
""",
}


@pytest.fixture
def _toy(tmp_path, monkeypatch):
    """The files of new networks, and the lines that list their presets."""
    (tmp_path / "trainers").mkdir()
    for name, content in TOY.items():
        (tmp_path / name).write_text(content)
    shutil.copy(Path(bundled.trainers_folder()) / "nnunet_mamba_generated_trainers.py", tmp_path / "trainers")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bundled, "_folder", lambda name: str(tmp_path / name))
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path / "trainers"))

    import toy_preset
    import volume_toy_preset

    monkeypatch.setitem(presets._BY_NAME, "toy", toy_preset.TOY)
    monkeypatch.setitem(presets._BY_NAME, "volume_toy", volume_toy_preset.VOLUME_TOY)


@pytest.mark.usefixtures("_toy")
def test_is_listed_and_built_by_its_name():
    listed = CliRunner().invoke(app, ["list"])

    assert listed.exit_code == 0, listed.output
    lines = [line.split() for line in listed.output.splitlines()]
    assert ["toy", "256×256", "3→1", "117", "0.0073400", "0.014680"] in lines
    assert ["nnUNetTrainerToy"] in lines
    assert "toy" in nnunet_mamba.list_networks()
    assert nnunet_mamba.create_network("toy", 1, 2, channels=2)(torch.zeros(1, 1, 5, 7)).shape == (1, 2, 5, 7)


@pytest.mark.usefixtures("_toy")
def test_one_for_volumes_only_is_listed_and_built_by_its_name():
    listed = CliRunner().invoke(app, ["list"])

    assert listed.exit_code == 0, listed.output
    lines = [line.split() for line in listed.output.splitlines()]
    assert ["volume_toy"] in lines
    assert ["nnUNetTrainerVolumeToy", "64×128×128", "1→14", "182", "0.17197", "0.34393"] in lines
    network = nnunet_mamba.create_network("volume_toy", 1, 2, channels=2)
    assert network(torch.zeros(1, 1, 3, 5, 7)).shape == (1, 2, 3, 5, 7)
    with pytest.raises(ValueError, match=r"volume_toy: spatial_dims=2, .* exists in 3D; leave spatial_dims out, or"):
        nnunet_mamba.create_network("volume_toy", 1, 2, spatial_dims=2)


@pytest.mark.usefixtures("_toy")
def test_one_with_a_single_head_has_no_deep_supervision(build_trainer):
    network = nnunet_mamba.create_network("volume_toy", 1, 2)
    assert not network.deep_supervision
    network.deep_supervision = False
    with pytest.raises(ValueError, match="deep_supervision=True, but this network has a single head"):
        network.deep_supervision = True
    with pytest.raises(TypeError, match="volume_toy takes no override 'deep_supervision'"):
        nnunet_mamba.create_network("volume_toy", 1, 2, deep_supervision=True)
    with pytest.raises(ValueError, match="'nnUNetTrainerVolumeToy' has a network with a single head; leave '_deep'"):
        build_trainer("nnUNetTrainerVolumeToy_deep", (5, 9, 14))
    freeze_heads_without_logits(network)
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.usefixtures("_toy")
def test_other_patches_than_volumes_are_refused_and_3d_is_advised(build_trainer):
    with pytest.raises(NotImplementedError, match=r"trains 3D .* Train '3d_fullres' with it: .* DATASET 3d_fullres"):
        build_trainer("nnUNetTrainerVolumeToy_1epoch", (9, 14))


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize("suffix", ["_1epoch", "_nnunet"])
def test_one_without_its_optional_package_is_listed_and_told(build_trainer, tmp_path, monkeypatch, suffix):
    lacking = replace(presets.PRESETS["volume_toy"], requires=("no_such_package",), extra="others")
    monkeypatch.setitem(presets._BY_NAME, "volume_toy", lacking)
    monkeypatch.setattr(load_trainer("nnUNetTrainerVolumeToy"), "preset", lacking)

    listed = CliRunner().invoke(app, ["list"])
    assert (listed.exit_code, "volume_toy" in listed.output) == (0, True)
    with pytest.raises(ModuleNotFoundError, match=r"volume_toy needs no_such_package, .* 'nnunet-mamba\[others\]'"):
        build_trainer(f"nnUNetTrainerVolumeToy{suffix}", (5, 9, 14))
    assert list((tmp_path / "nnUNet_results").iterdir()) == []


@pytest.mark.usefixtures("_toy")
def test_heads_and_outputs_that_do_not_match_are_told(monkeypatch):
    from toy_network import ToyNetwork

    monkeypatch.setattr(ToyNetwork, "heads", property(lambda network: tuple(network.decoder.seg_layers)[:1]))
    with pytest.raises(RuntimeError, match=r"ToyNetwork has 1 heads and 2 output_reductions, \(\(1, 1\), \(2, 4\)\)"):
        nnunet_mamba.create_network("toy", 1, 2, deep_supervision=True)

    network = ToyNetwork(1, 2, deep_supervision=True)
    network.segment = lambda x: [x]
    with pytest.raises(RuntimeError, match=r"ToyNetwork: segment\(\) returned 1 outputs for 2 output_reductions"):
        network(torch.zeros(1, 1, 4, 4))


@pytest.mark.usefixtures("_toy")
def test_is_counted():
    size = presets.PRESETS["volume_toy"].sizes[0]
    volumes = measure_complexity(
        nnunet_mamba.create_network("volume_toy", *size.reference_input), (1, *size.image_size)
    )
    assert volumes.n_parameters == size.n_parameters
    assert f"{volumes.multiply_adds / 1e9:.5g} {volumes.flops / 1e9:.5g}" == f"{size.giga_macs} {size.giga_flops}"

    size = presets.PRESETS["toy"].sizes[0]
    network = nnunet_mamba.create_network("toy", *size.reference_input, deep_supervision=True)

    # The pooled map of 4 channels, for which the block itself counts, and the second head.
    counted = measure_complexity(network, (3, *size.image_size))
    network.deep_supervision = False
    plain = measure_complexity(network, (3, *size.image_size))

    assert (plain.multiply_adds / 1e9, plain.flops / 1e9) == (size.giga_macs, size.giga_flops)
    assert counted.multiply_adds - plain.multiply_adds == 4 * 256**2 + 4 * 256**2 // 8
    assert counted.n_parameters == size.n_parameters + 5


@pytest.mark.usefixtures("_toy")
def test_is_planned_by_what_it_pads_to(build_trainer, tmp_path):
    plans = build_trainer("nnUNetTrainerToy_1epoch", (33, 45)).plans_manager.plans
    configuration = {**plans["configurations"]["2d"], "median_image_size_in_voxels": [40, 48]}
    base = BasePlans(
        folder=tmp_path, plans={**plans, "configurations": {"2d": configuration}}, dataset_json={"numTraining": 1000}
    )

    (trainer,) = resolve_trainers(["nnUNetTrainerToy"], base)
    planned = plan_configuration(
        trainer,
        "2d",
        budget=Budget(device="cpu", size=10**9),
        request=PlanningRequest(),
        measure=lambda request, budget: StepMemory(peak=1000, before=0),
    )

    assert planned.content["patch_size"] == [34, 48]
    assert (planned.content["batch_size"], planned.reason) == (6, "recipe")


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize(
    ("name", "patch_size"),
    [
        ("Toy_1epoch_1iteration", (9, 14)),
        ("Toy_wide_deep_1epoch_1iteration", (9, 14)),
        ("VolumeToy_1epoch", (5, 9, 14)),
    ],
)
def test_trains_and_predicts_with_stock_nnunet(build_trainer, name, patch_size):
    trainer = build_trainer(f"nnUNetTrainer{name}", patch_size)
    trainer.initialize()
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}

    trainer.network.train()
    loss = trainer.train_step(random_batch(trainer))["loss"]

    assert np.isfinite(loss)
    assert any(not torch.equal(value, before[name]) for name, value in trainer.network.named_parameters())
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
    folder = Path(trainer.output_folder_base)
    (folder / "plans.json").write_text(json.dumps(trainer.plans_manager.plans))
    (folder / "dataset.json").write_text(json.dumps({**trainer.dataset_json, "numTraining": 1}))
    # In the corners of a volume, nnU-Net's Gaussian is too small for the half precision in which it adds tiles up.
    predictor = nnUNetPredictor(
        use_gaussian=False, use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu")
    )
    predictor.initialize_from_trained_model_folder(str(folder), use_folds=(0,))
    image = torch.randn(3, *patch_size)
    # nnU-Net's images have three axes in any case.
    logits = predictor.predict_logits_from_preprocessed_data(image.reshape(3, *(1, *patch_size)[-3:]))

    trainer.set_deep_supervision_enabled(False)
    with torch.no_grad():
        expected = trainer.network(image[None])[0]
    torch.testing.assert_close(logits.reshape(expected.shape).float(), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.usefixtures("_toy")
def test_begins_with_weights_of_its_published_code(tmp_path):
    torch.save(
        {"toy.conv1.weight": torch.ones(4, 3, 3, 3), "toy.conv1.bias": torch.ones(4)}
        | {"toy.final.weight": torch.ones(5, 4, 1, 1), "toy.final.bias": torch.ones(5)},
        tmp_path / "published.pth",
    )
    output = tmp_path / "weights.pth"

    result = CliRunner().invoke(
        app, ["import-weights", str(tmp_path / "published.pth"), "--network", "toy", "--output", str(output)]
    )

    assert result.exit_code == 0, result.output
    assert "toy, 3 → 5: weights of published code" in result.output
    assert "Toys of the published code are painted." in result.output
    network = nnunet_mamba.create_network("toy", 3, 2)
    load_pretrained_weights(network, str(output))
    assert torch.equal(network.stem.weight, torch.ones(4, 3, 3, 3))


@pytest.mark.usefixtures("_toy")
def test_one_with_its_head_elsewhere_begins_with_weights_for_other_classes(tmp_path):
    other = nnunet_mamba.create_network("volume_toy", 1, 5)
    torch.save({"network_weights": other.state_dict()}, tmp_path / "weights.pth")
    network = nnunet_mamba.create_network("volume_toy", 1, 2)

    load_pretrained_weights(network, str(tmp_path / "weights.pth"))

    assert torch.equal(network.stem.weight, other.stem.weight)
