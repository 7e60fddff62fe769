import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.networks.upstream_weights import load_upstream_weights
from nnunet_mamba.ops.scan.backends import VARIABLE

GOLDEN = Path(__file__).parents[1] / "golden/mamba_layer_patch"
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


@pytest.fixture(params=["default", "reference"])
def scan_backend(request, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    if request.param == "reference":
        monkeypatch.setenv(VARIABLE, "reference")


@pytest.mark.usefixtures("scan_backend")
@pytest.mark.parametrize("channels_as_tokens", [False, True])
def test_equals_the_published_output_and_gradients(golden, channels_as_tokens):
    description, arrays = golden
    layer = MambaLayer(description["constructor"]["dim"], channels_as_tokens=channels_as_tokens)
    published = {key.removeprefix("sd/"): value for key, value in arrays.items() if key.startswith("sd/")}
    assert {key: list(value.shape) for key, value in layer.state_dict().items()} == description["keys"]
    load_upstream_weights(layer, published)

    # The same tokens as channels: a map whose channels are the positions and whose positions are the channels.
    def exchanged(x):
        return x.flatten(2).mT.reshape(2, 20, 4, 3) if channels_as_tokens else x

    x = exchanged(arrays["input"]).clone().requires_grad_()
    y = layer(x)
    (y * exchanged(arrays["R"])).sum().backward()

    error = (y.detach() - exchanged(arrays["output"])).abs().max()
    assert float(error) <= NOISE_FACTOR * description["fp32_vs_fp64_maxabs"]
    gradients = {key: value.grad for key, value in layer.named_parameters()}
    noise = dict(description["grad_fp32_vs_fp64_maxabs"])
    error = (x.grad - exchanged(arrays["grad/input"])).abs().max()
    assert float(error) <= NOISE_FACTOR * noise.pop("input")
    assert set(noise) == set(description["grad_params"])
    for key, quantity_noise in noise.items():
        error = float((gradients[key] - arrays[f"grad/{key}"]).abs().max())
        assert error <= NOISE_FACTOR * quantity_noise, key


@pytest.mark.parametrize("spatial", [(7,), (3, 5), (2, 3, 4)])
def test_mixes_maps_of_any_rank_in_row_major_order(spatial):
    layer, x = MambaLayer(6).double(), torch.randn(2, 6, *spatial, dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close(layer(x).flatten(2), layer(x.flatten(2)))


def test_a_position_does_not_see_those_after_it():
    layer, x = MambaLayer(4).double(), torch.randn(1, 4, 3, 5, dtype=torch.float64)
    changed = x.clone()
    # Not the same for all channels, which the norm would take out.
    changed[:, :, 1, 2] += torch.randn(4, dtype=torch.float64)

    with torch.no_grad():
        differs = (layer(x) != layer(changed)).any(dim=1).flatten()

    assert differs.tolist() == [False] * 7 + [True] * 8


@pytest.mark.parametrize("channels_as_tokens", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_leaves_autocast_and_works_in_float32(channels_as_tokens, dtype):
    layer, x = MambaLayer(12, channels_as_tokens=channels_as_tokens), torch.randn(2, 12, 3, 4).to(dtype)

    with torch.no_grad():
        expected = layer(x.float())
        with torch.autocast("cpu", dtype=dtype):
            result = layer(x)

    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


def test_channels_as_tokens_return_the_map_in_its_own_layout():
    y = MambaLayer(12, channels_as_tokens=True)(torch.randn(2, 5, 3, 4))

    assert y.is_contiguous()


@pytest.mark.parametrize("channels_as_tokens", [False, True])
def test_compiles_into_one_graph(channels_as_tokens):
    layer, x = MambaLayer(12, channels_as_tokens=channels_as_tokens), torch.randn(2, 12, 3, 4)

    with torch.no_grad():
        assert torch.equal(torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x))


def test_refuses_a_width_that_is_not_positive():
    with pytest.raises(ValueError, match="d_model=0, expected a positive integer"):
        MambaLayer(0)


@pytest.mark.parametrize(
    ("channels_as_tokens", "shape", "meaning"),
    [(False, (2, 6, 4), "12 channels"), (False, (2, 12), "12 channels"), (True, (2, 12, 3, 5), "12 positions in all")],
)
def test_refuses_maps_of_another_width_or_rank(channels_as_tokens, shape, meaning):
    message = f"map of shape {shape}, expected (b, c, *spatial) with {meaning}"
    with pytest.raises(ValueError, match=re.escape(message)):
        MambaLayer(12, channels_as_tokens=channels_as_tokens)(torch.zeros(shape))
