"""Blocks and networks against the outputs and gradients of the published code.

Small vectors lie in ``tests/golden``; large ones are read from the folder NNUNET_MAMBA_GOLDEN.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnunet_mamba import create_network
from nnunet_mamba.blocks.attention_bridge import AttentionBridge
from nnunet_mamba.blocks.local_global_perception import GLOBAL_LOCAL, LOCAL, LocalGlobalPerception
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.parallel_vision_mamba import ParallelVisionMamba
from nnunet_mamba.blocks.patch_resampling import PatchExpanding, PatchMerging
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.blocks.vss_block import VSSBlock
from nnunet_mamba.networks.upstream_weights import load_upstream_weights, published_name

GOLDEN = Path(__file__).parent / "golden"
# Two float32 computations in another order differ by a few times the rounding noise of one of them.
NOISE_FACTOR = 10


@dataclass(frozen=True)
class Golden:
    """One published computation."""

    description: dict[str, Any]
    arrays: dict[str, Tensor]

    @classmethod
    def read(cls, name: str) -> "Golden":
        folder = GOLDEN
        if not (folder / f"{name}.npz").exists():
            if "NNUNET_MAMBA_GOLDEN" not in os.environ:
                pytest.skip(f"{name} is too large for tests/golden, and NNUNET_MAMBA_GOLDEN is not set")
            folder = Path(os.environ["NNUNET_MAMBA_GOLDEN"])
        with np.load(folder / f"{name}.npz") as stored:
            arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
        description = json.loads((folder / f"{name}.json").read_text())
        # Some networks have layers of several names; the committed files hold them once.
        seconds = {f"sd/{second}": arrays[f"sd/{first}"] for second, first in description.get("aliases", {}).items()}
        return cls(description, {**arrays, **seconds})

    @property
    def sizes(self) -> dict[str, Any]:
        """The published constructor's arguments."""
        return self.description["constructor"]

    @property
    def state_dict(self) -> dict[str, Tensor]:
        # The bridge was stored as part "b" of a wrapper.
        return {k.removeprefix("sd/").removeprefix("b."): v for k, v in self.arrays.items() if k.startswith("sd/")}

    def series(self, name: str) -> list[Tensor]:
        """``name``, or ``name``0, ``name``1, … of a module with several outputs."""
        return [self.arrays[name]] if name in self.arrays else [self.arrays[f"{name}{i}"] for i in range(5)]


def build_mamba(golden: Golden) -> nn.Module:
    arguments = dict(golden.description["constructor"])
    return Mamba(arguments.pop("d_model"), **arguments)


def build_pvm(golden: Golden) -> nn.Module:
    sizes = golden.description["constructor"]
    return ParallelVisionMamba(sizes["input_dim"], sizes["output_dim"])


class FlatBridge(nn.Module):
    """The bridge with its levels flattened into one tensor, as the vectors store them."""

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        self.bridge = AttentionBridge(sizes["c_list"][:-1], split_att=sizes["split_att"])
        self.shapes = sizes["level_shapes"]

    def forward(self, flat: Tensor) -> list[Tensor]:
        levels = flat.split([int(np.prod(shape)) for shape in self.shapes], dim=1)
        return self.bridge([x.reshape(-1, *shape) for x, shape in zip(levels, self.shapes, strict=True)])


def build_ultralight(golden: Golden) -> nn.Module:
    sizes = golden.sizes
    options = {"channels": sizes["c_list"], "split_att": sizes["split_att"], "bridge": sizes["bridge"]}
    return create_network("ultralight_vm_unet", sizes["input_channels"], sizes["num_classes"], **options)


def build_vm_unet(golden: Golden) -> nn.Module:
    names = ("dims", "depths", "depths_decoder", "drop_path_rate", "d_state")
    options = {name: golden.sizes["vssm"][name] for name in names}
    return create_network("vm_unet", golden.sizes["input_channels"], golden.sizes["num_classes"], **options)


def build_u_mamba(golden: Golden) -> nn.Module:
    names = ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage", "n_conv_per_stage_decoder")
    name = "u_mamba_bot" if "deep_supervision" in golden.sizes else "u_mamba_bot_tumour"
    sizes = {name: golden.sizes[name] for name in names}
    return create_network(name, golden.sizes["input_channels"], golden.sizes["num_classes"], **sizes)


def build_perception(golden: Golden, branches: tuple[str, ...]) -> nn.Module:
    sizes = golden.sizes
    options = {"branches": branches, "kernel_size": sizes["sep_conv_kernel"], "flip": "channels"}
    return LocalGlobalPerception(sizes["input_dim"], sizes["output_dim"], **options)


def build_ultralbm(golden: Golden) -> nn.Module:
    return create_network("ultralbm_unet", golden.sizes["input_channels"], golden.sizes["num_classes"], flip="channels")


BUILDERS: dict[str, Callable[[Golden], nn.Module]] = {
    "mamba_block": build_mamba,
    "mamba_block_d40": build_mamba,
    "pvm_layer": build_pvm,
    "sc_att_bridge_fc": lambda golden: FlatBridge(golden.description["constructor"]),
    "ultralight_base": build_ultralight,
    "ss2d": lambda golden: SS2D(**golden.sizes),
    "vssblock": lambda golden: VSSBlock(
        golden.sizes["hidden_dim"], drop_path=golden.sizes["drop_path"], d_state=golden.sizes["d_state"]
    ),
    "patch_merging2d": lambda golden: PatchMerging(golden.sizes["dim"]),
    "patch_expand2d": lambda golden: PatchExpanding(
        2 * golden.sizes["dim"], factor=2, out_channels=golden.sizes["dim"]
    ),
    "final_patch_expand2d": lambda golden: PatchExpanding(
        golden.sizes["dim"],
        factor=golden.sizes["dim_scale"],
        out_channels=golden.sizes["dim"] // golden.sizes["dim_scale"],
    ),
    "vmunet_dims12": build_vm_unet,
    "mamba_layer_patch": lambda golden: MambaLayer(golden.sizes["dim"]),
    "pyramid_pooling": lambda golden: PyramidPooling(golden.sizes["input_channels"]),
    "umamba_bot_2d": build_u_mamba,
    "umamba_bot_3d": build_u_mamba,
    "lxaw_umambabot": build_u_mamba,
    "glmbp": lambda golden: build_perception(golden, GLOBAL_LOCAL),
    "lmbp": lambda golden: build_perception(golden, LOCAL),
    "ultralbm": build_ultralbm,
}


@pytest.fixture(params=BUILDERS)
def case(request: pytest.FixtureRequest) -> tuple[Golden, nn.Module, nn.Module]:
    """The stored computation, our module, and the part of it that carries the published weights."""
    golden = Golden.read(request.param)
    module = BUILDERS[request.param](golden).eval()
    return golden, module, module.bridge if isinstance(module, FlatBridge) else module


@pytest.fixture(params=["default", "reference"])
def scan_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "default":
        monkeypatch.delenv("NNUNET_MAMBA_SCAN", raising=False)
    else:
        monkeypatch.setenv("NNUNET_MAMBA_SCAN", request.param)


def test_has_the_published_keys_and_shapes(case):
    golden, _, part = case
    prefix = getattr(part, "published_prefix", "b.")
    published = {key.removeprefix(prefix): tuple(shape) for key, shape in golden.description["keys"].items()}
    first_names = {key: shape for key, shape in published.items() if key not in golden.description["aliases"]}
    ours = {published_name(part, key): tuple(value.shape) for key, value in part.state_dict().items()}

    assert first_names.items() <= ours.items() <= published.items()
    assert sum(parameter.numel() for parameter in part.parameters()) == golden.description["n_params"]


@pytest.mark.usefixtures("scan_backend")
def test_equals_the_published_outputs_and_gradients(case):
    golden, module, part = case
    assert set(load_upstream_weights(part, golden.state_dict).loaded) == set(golden.state_dict)
    x = golden.arrays["input"].clone().requires_grad_()

    results = module(x)
    results = results if isinstance(results, list) else [results]
    torch.stack([(y * r).sum() for y, r in zip(results, golden.series("R"), strict=True)]).sum().backward()

    noise = golden.description["fp32_vs_fp64_maxabs"]
    expected = golden.series("logits" if "logits" in golden.arrays else "output")
    for ours, theirs in zip(results, expected, strict=True):
        assert float((ours.detach() - theirs).abs().max()) <= NOISE_FACTOR * noise
    gradients = {published_name(part, key): value.grad for key, value in part.named_parameters()} | {"input": x.grad}
    grad_noise = golden.description["grad_fp32_vs_fp64_maxabs"]
    assert set(grad_noise) == {"input", *golden.description["grad_params"]}
    for key, quantity_noise in grad_noise.items():
        prefix = getattr(part, "published_prefix", "b.")
        error = float((gradients[key.removeprefix(prefix)] - golden.arrays[f"grad/{key}"]).abs().max())
        assert error <= NOISE_FACTOR * quantity_noise, key


def test_sigmoid_of_our_logits_is_the_published_output():
    golden = Golden.read("ultralight_base")
    network = build_ultralight(golden)
    load_upstream_weights(network, golden.state_dict)

    with torch.no_grad():
        error = (torch.sigmoid(network(golden.arrays["input"])) - golden.arrays["output"]).abs().max()

    assert float(error) <= NOISE_FACTOR * golden.description["fp32_vs_fp64_maxabs"]
