"""Networks of volumes are exported, too; what stands around them stays nnU-Net's."""

import json

import numpy as np
import pytest
import torch
from trained_models import checkpoint_of_nnunet, plans_of_nnunet

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba import Predictor, create_network
from nnunet_mamba.export.onnx_export import write_onnx
from nnunet_mamba.export.subject import subject_of
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.planned_network import planned_network
from nnunet_mamba.onnx_models.agreement import Tolerance
from nnunet_mamba.onnx_models.session import OnnxSession
from nnunet_mamba.onnx_models.verification import verify_onnx

TRAINER, CONFIGURATION = "nnUNetTrainerUltraLightVM", "3d_fullres"
PATCH, SPACING = [32, 64, 64], [2.5, 1.0, 1.0]
LABELS = {"background": 0, "liver": 1, "spleen": 2}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return results_of(TRAINER, tmp_path_factory.mktemp("results"))


def results_of(trainer, folder):
    """Write nnU-Net's results of a network of volumes, with new weights."""
    plans = plans_of_nnunet(n_channels=1, scheme="CTNormalization")
    numbers = {"mean": 80.0, "std": 130.0, "percentile_00_5": -900.0, "percentile_99_5": 300.0}
    plans["foreground_intensity_properties_per_channel"] = {"0": numbers}
    planned = plans["configurations"]["base"]
    planned.update(patch_size=PATCH, spacing=SPACING, batch_size=2)
    planned["architecture"]["arch_kwargs"].update(
        conv_op="torch.nn.modules.conv.Conv3d",
        norm_op="torch.nn.modules.instancenorm.InstanceNorm3d",
        kernel_sizes=[[3, 3, 3]] * 3,
        strides=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    )
    plans["configurations"][CONFIGURATION] = {"inherits_from": "base"}
    dataset = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 10, "file_ending": ".nii.gz"}
    described = planned_network(trainer, planned, input_channels=1, num_classes=len(LABELS))
    torch.manual_seed(0)
    network = create_network(described.preset, 1, len(LABELS), **{"spatial_dims": 3, **described.arguments})
    folder = folder / "Dataset902_CT" / f"{trainer}__nnUNetPlans__{CONFIGURATION}"
    (folder / "fold_0").mkdir(parents=True)
    content = checkpoint_of_nnunet(trainer, network.state_dict(), fold=0, plans=plans, dataset=dataset)
    content["init_args"]["configuration"] = CONFIGURATION
    content["inference_allowed_mirroring_axes"] = (0, 1, 2)
    torch.save(content, folder / "fold_0/checkpoint_final.pth")
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


@pytest.fixture(scope="module")
def exported(results, tmp_path_factory):
    return write_onnx(subject_of(open_model(results)), tmp_path_factory.mktemp("export") / "ct.onnx").file


def test_a_network_of_volumes_computes_the_same(exported):
    verified = verify_onnx(exported)
    assert verified.worst.is_within(Tolerance(error=1e-4))
    facts = verified.sidecar.facts
    assert facts["input"]["layout"] == ["b", "c", "d", "h", "w"]
    assert facts["input"]["values"].startswith("normalised")
    assert facts["tiling"]["window"] == PATCH
    assert facts["mirror_axes"] == [0, 1, 2]
    assert "Resample volumes to voxels of 2.5 × 1 × 1 mm, after they are normalised" in " ".join(facts["not_inside"])


def test_other_sizes_and_batches_of_volumes_are_taken(exported):
    volumes = np.random.default_rng(0).normal(size=(2, 1, 64, 32, 96)).astype(np.float32)
    logits, probabilities = OnnxSession(exported).run(volumes)
    assert logits.shape == (2, len(LABELS), 64, 32, 96)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_volumes_are_predicted_with_the_model_itself(exported):
    with pytest.raises(ValueError, match="predict with the model that the file was exported from"):
        Predictor.from_model(exported)


# Each has what no other network of volumes has: pyramid pooling, and weights that are tied to one size.
@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["nnUNetTrainerUMambaBotPP", "nnUNetTrainerUMambaEnc"])
def test_u_mamba_of_volumes_computes_the_same(trainer, tmp_path):
    written = write_onnx(subject_of(open_model(results_of(trainer, tmp_path))), tmp_path / "ct.onnx")
    assert written.worst.is_within(Tolerance(error=written.facts["gate"]["allowed_error"]))
    assert verify_onnx(written.file).sidecar.facts["input"]["layout"] == ["b", "c", "d", "h", "w"]
