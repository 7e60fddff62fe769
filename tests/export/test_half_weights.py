"""Weights in half precision: what is rounded, what that costs, and that the file computes with just these weights."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.blocks.mamba import Mamba  # noqa: E402
from nnunet_mamba.blocks.ss2d import SS2D  # noqa: E402
from nnunet_mamba.cli.main import app  # noqa: E402
from nnunet_mamba.export import half_weights, onnx_export  # noqa: E402
from nnunet_mamba.export.onnx_export import write_onnx  # noqa: E402
from nnunet_mamba.onnx_models.verification import verify_onnx  # noqa: E402


@pytest.fixture(scope="module")
def pair(subject, _exported, tmp_path_factory):
    """The same model with weights of both kinds; the small network counts as a large one."""
    folder = tmp_path_factory.mktemp("half")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half_weights, "LEAST_PARAMETERS", 1000)
        halved = write_onnx(subject, folder / "half.onnx", half_weights=True)
        patch.setattr(onnx_export, "exported_model", lambda _: copy.deepcopy(_exported))
        return write_onnx(subject, folder / "whole.onnx"), halved


def test_large_tensors_lie_in_the_file_as_float16_and_become_float32(pair):
    whole, halved = (onnx.load(one.file).graph for one in pair)
    numbers = {
        kind: sum(int(np.prod(one.dims)) for one in halved.initializer if one.data_type == kind) for kind in (1, 10)
    }
    large = sum(int(np.prod(one.dims)) for one in whole.initializer if one.data_type == 1 and np.prod(one.dims) >= 1024)
    assert numbers[10] > 0.8 * large > 0
    assert pair[1].n_bytes < pair[0].n_bytes - numbers[10]
    names = {one.name for one in halved.initializer if one.data_type == 10}
    assert {node.input[0] for node in halved.node if node.op_type == "Cast" and node.input[0] in names} == names


def test_facts_tell_what_rounding_costs(pair):
    whole, halved = (json.loads(one.sidecar.read_text(encoding="utf-8")) for one in pair)
    assert "weights" not in whole
    assert halved["weights"]["stored_as"] == "float16"
    assert all(score["note"].endswith("; measured with float32 weights") for score in halved["model"]["scores"])
    cost = halved["weights"]["beside_float32"]
    # Half precision has three digits: the cost is above float32's rounding, and no more than a few percent.
    assert 1e-4 < cost["largest_logit_difference"] / cost["largest_logit"] < 0.05
    assert 0.98 < cost["equal_labels"] <= 1


def test_verify_accepts_the_file(pair):
    assert verify_onnx(pair[1].file).worst.equal_labels >= 0.9999


def test_the_networks_that_are_exported_are_not_changed(subject):
    before = {name: weight.clone() for name, weight in subject.networks[0].named_parameters()}
    found = half_weights.rounded(subject).networks[0]
    assert any(not torch.equal(weight, before[name]) for name, weight in found.named_parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in subject.networks[0].named_parameters())


@pytest.mark.parametrize("block", [Mamba(64), SS2D(64)], ids=["Mamba", "SS2D"])
def test_the_state_keeps_its_digits(block):
    copied = copy.deepcopy(block)
    assert max(weight.numel() for name, weight in block.named_parameters() if "A_log" in name) > 1024
    half_weights.round_weights(copied)
    changed = {name for name, weight in copied.named_parameters() if not torch.equal(weight, block.get_parameter(name))}
    assert changed
    assert all(name.endswith("weight") for name in changed)


def test_weights_beyond_half_precision_are_refused():
    layer = torch.nn.Linear(64, 64)
    with torch.no_grad():
        layer.weight[3, 4] = 1e5
    with pytest.raises(ValueError, match=r"^weight has weights up to 1e\+05, and half precision ends at 65504"):
        half_weights.round_weights(layer)


def test_a_network_that_needs_its_digits_is_refused(subject, monkeypatch):
    monkeypatch.setattr(half_weights, "_LEAST_EQUAL_LABELS", 1.01)
    with pytest.raises(ValueError, match=r"labels of ultralbm-isic as they are, expected at least 101%"):
        half_weights.rounded(subject)


def test_several_folds_are_one_large_file(subject):
    folds = half_weights.LEAST_PARAMETERS // subject.n_parameters + 1
    half_weights.refuse_small(replace(subject, networks=subject.networks * folds))
    with pytest.raises(ValueError, match="it is small already"):
        half_weights.refuse_small(subject)


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "34,166: it is small already"), (("--format", "torch-export"), "is for --format onnx")],
)
def test_the_command_refuses_what_gains_nothing(options, words, tmp_path):
    suffix = ".pt2" if options else ".onnx"
    command = ["export", "--model", "isic", "-o", str(tmp_path / f"lesion{suffix}"), "--weights", "float16", *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    assert words in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())
