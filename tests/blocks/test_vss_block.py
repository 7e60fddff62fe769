import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_mamba.blocks.vss_block import VSSBlock
from nnunet_mamba.networks.upstream_weights import load_upstream_weights, published_name
from nnunet_mamba.ops.scan.backends import VARIABLE

GOLDEN = Path(__file__).parents[1] / "golden/vssblock"
# Two float32 computations in another order differ by a few times the rounding noise of one of them.
NOISE_FACTOR = 10


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def golden():
    with np.load(GOLDEN.with_suffix(".npz")) as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
    return json.loads(GOLDEN.with_suffix(".json").read_text()), arrays


@pytest.fixture
def published_block(golden):
    description, arrays = golden
    sizes = description["constructor"]
    block = VSSBlock(sizes["hidden_dim"], drop_path=sizes["drop_path"], d_state=sizes["d_state"]).eval()
    published = {key.removeprefix("sd/"): value for key, value in arrays.items() if key.startswith("sd/")}
    report = load_upstream_weights(block, published)
    assert set(report.loaded) == set(description["keys"])
    return block


@pytest.fixture(params=["default", "reference"])
def scan_backend(request, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    if request.param == "reference":
        monkeypatch.setenv(VARIABLE, "reference")


def test_has_the_published_number_of_parameters(golden, published_block):
    assert sum(parameter.numel() for parameter in published_block.parameters()) == golden[0]["n_params"]


@pytest.mark.usefixtures("scan_backend")
def test_equals_the_published_output_and_gradients(golden, published_block):
    description, arrays = golden
    x = arrays["input"].clone().requires_grad_()

    y = published_block(x)
    (y * arrays["R"]).sum().backward()

    assert float((y.detach() - arrays["output"]).abs().max()) <= NOISE_FACTOR * description["fp32_vs_fp64_maxabs"]
    ours = {published_name(published_block, key): value.grad for key, value in published_block.named_parameters()}
    ours["input"] = x.grad
    grad_noise = description["grad_fp32_vs_fp64_maxabs"]
    assert set(grad_noise) == {"input", *description["grad_params"]}
    for key, noise in grad_noise.items():
        assert float((ours[key] - arrays[f"grad/{key}"]).abs().max()) <= NOISE_FACTOR * noise, key


def test_training_leaves_dropped_cases_as_they_are_and_strengthens_the_others():
    block = VSSBlock(4, drop_path=0.5)
    x = torch.randn(64, 2, 3, 4)

    with torch.no_grad():
        change = block(x) - x
        expected = 2 * (block.eval()(x) - x)

    dropped = ~change.flatten(1).any(dim=1)
    assert 16 < int(dropped.sum()) < 48
    torch.testing.assert_close(change[~dropped], expected[~dropped], rtol=1e-4, atol=1e-5)


def test_prediction_drops_nothing():
    block, x = VSSBlock(4, drop_path=0.9), torch.randn(8, 2, 3, 4)
    certain = VSSBlock(4)
    certain.load_state_dict(block.state_dict())

    with torch.no_grad():
        assert torch.equal(block.eval()(x), certain(x))


def test_half_precision_map_becomes_float32_under_autocast():
    x = torch.randn(2, 3, 5, 8).bfloat16()

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert VSSBlock(8)(x).dtype == torch.float32


def test_compiles_into_one_graph():
    block, x = VSSBlock(8, drop_path=0.2).eval(), torch.randn(2, 3, 5, 8)

    with torch.no_grad():
        assert torch.equal(torch.compile(block, backend="eager", fullgraph=True)(x), block(x))


@pytest.mark.parametrize("drop_path", [-0.1, 1.0])
def test_refuses_a_drop_path_that_is_no_probability_below_one(drop_path):
    with pytest.raises(ValueError, match=rf"drop_path={drop_path}, expected a probability in \[0, 1\)"):
        VSSBlock(4, drop_path=drop_path)


@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (4, 5, 6)])
def test_refuses_maps_of_another_width_or_rank(shape):
    with pytest.raises(ValueError, match=r"VSSBlock: map of shape .* expected \(b, h, w, d_model\) with d_model = 6"):
        VSSBlock(6)(torch.zeros(shape))
