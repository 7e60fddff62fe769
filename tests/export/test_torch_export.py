"""A program of torch.export runs with PyTorch alone, and nothing is written where it computes something else."""

import json

import numpy as np
import pytest
import torch

from nnunet_mamba.export import torch_export
from nnunet_mamba.export.gate import UnequalExportError, logits_of
from nnunet_mamba.export.torch_export import FACTS_FILE, outputs_in_fresh_process, packed_program, write_program
from nnunet_mamba.export.trial_images import like_photographs
from nnunet_mamba.onnx_models.sidecar import read_sidecar, sha256_of
from nnunet_mamba.ops import selective_scan


class Brightness(torch.nn.Module):
    """A network whose logit is a pixel's mean."""

    def forward(self, image):
        logits = image.mean(dim=1, keepdim=True) - 128
        return logits, torch.sigmoid(logits)


class OurScan(torch.nn.Module):
    """A network that needs an operator of ours."""

    def forward(self, image):
        u = image.flatten(2)
        logits = selective_scan(u, u, -torch.ones(3, 1), u[:, :1], u[:, :1])[:, :1].unflatten(2, image.shape[2:])
        return logits, torch.sigmoid(logits)


def program_of(module):
    sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    return torch.export.export(module, (torch.rand(2, 3, 64, 96),), dynamic_shapes=(sizes,))


def test_a_file_runs_in_a_process_without_nnunet_mamba_and_tells_nothing_of_this_machine(tmp_path):
    file = tmp_path / "brightness.pt2"
    file.write_bytes(packed_program(program_of(Brightness()), {"name": "brightness"}))
    batches = [np.full((b, 3, 8, 9), b, np.float32) for b in (1, 3)]

    outputs = [*outputs_in_fresh_process(file.read_bytes(), batches)]

    for (logits, probabilities), images in zip(outputs, batches, strict=True):
        np.testing.assert_allclose(logits, images[:, :1] - 128)
        assert probabilities.shape == logits.shape
    extra_files = {FACTS_FILE: ""}
    torch.export.load(file, extra_files=extra_files)
    assert json.loads(extra_files[FACTS_FILE]) == {"name": "brightness"}
    assert b"test_torch_export.py" not in file.read_bytes()


def test_a_program_that_needs_our_operators_is_refused():
    content = packed_program(program_of(OurScan()), {})
    with pytest.raises(UnequalExportError, match=r"PyTorch alone cannot run.*nothing was written"):
        next(outputs_in_fresh_process(content, [np.zeros((1, 3, 64, 96), np.float32)]))


def test_nothing_is_written_of_a_program_that_computes_something_else(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_export, "exported_program", lambda _: program_of(Brightness()))
    with pytest.raises(UnequalExportError, match="largest logit error"):
        write_program(subject, tmp_path / "isic.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_is_written_with_its_facts_and_takes_any_batch_and_size(subject, tmp_path):
    written = write_program(subject, tmp_path / "isic.pt2")
    sidecar = read_sidecar(written.file)
    assert sidecar.sha256 == sha256_of(written.file)
    assert sidecar.facts["labels"] == {"background": 0, "lesion": [1, 1]}
    assert set(sidecar.facts["versions"]) == {"nnunet-mamba", "torch"}
    assert written.worst.is_within(subject.tolerance)
    # More tokens than in any image of the gate, at each of which chunks of chunks begin.
    shapes = ((1, 64, 64), (3, 160, 64), (1, 512, 544))
    batches = [like_photographs((b, 3, h, w), 0).astype(np.float32) for b, h, w in shapes]
    for images, (logits, _) in zip(batches, outputs_in_fresh_process(written.file.read_bytes(), batches), strict=True):
        expected = logits_of(subject, images)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
