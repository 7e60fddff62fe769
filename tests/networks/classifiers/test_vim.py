import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from nnunet_mamba import create_network
from nnunet_mamba.networks.classifiers.vim import Vim
from nnunet_mamba.networks.published_files import read_weights
from nnunet_mamba.networks.upstream_weights import load_upstream_weights
from nnunet_mamba.training.parameter_groups import parameter_groups

SMALL = {"image_size": (12, 20), "patch_size": 4, "d_model": 20, "depth": 3, "d_state": 4}


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Vim(3, 5, **SMALL).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def scanned(x, z, weights, direction):
    """One direction of the mixer, step by step: x and z are (l, e), both in the direction's order."""
    conv, bias = weights[f"conv1d{direction}.weight"][:, 0], weights[f"conv1d{direction}.bias"]
    A = -torch.exp(weights[f"A{direction}_log"])
    rank, n = weights[f"dt_proj{direction}.weight"].shape[1], A.shape[1]
    h, results = torch.zeros_like(A), []
    for t in range(len(x)):
        seen = sum((conv[:, tap] * x[t - 3 + tap] for tap in range(4) if t - 3 + tap >= 0), start=bias)
        u = functional.silu(seen)
        dt, B, C = (weights[f"x_proj{direction}.weight"] @ u).split([rank, n, n])
        step = functional.softplus(weights[f"dt_proj{direction}.weight"] @ dt + weights[f"dt_proj{direction}.bias"])
        h = torch.exp(step[:, None] * A) * h + step[:, None] * B * u[:, None]
        results.append((h @ C + weights[f"D{direction}"] * u) * functional.silu(z[t]))
    return torch.stack(results)


def classified(image, weights, *, patch, depth):
    """The whole network for one image, (c, h, w), as a function of its published weights."""

    def normed(tokens, name):
        return tokens / (tokens.pow(2).mean(1, keepdim=True) + 1e-5).sqrt() * weights[name]

    tokens = []
    for top in range(0, image.shape[1], patch):
        for left in range(0, image.shape[2], patch):
            pixels = image[:, top : top + patch, left : left + patch]
            tokens.append(
                (weights["patch_embed.proj.weight"] * pixels).sum((1, 2, 3)) + weights["patch_embed.proj.bias"]
            )
    middle = len(tokens) // 2
    tokens.insert(middle, weights["cls_token"][0, 0])
    residual, hidden = torch.stack(tokens) + weights["pos_embed"][0], 0
    for layer in range(depth):
        own = {
            key.removeprefix(f"layers.{layer}.mixer."): value
            for key, value in weights.items()
            if key.startswith(f"layers.{layer}.mixer.")
        }
        residual = residual + hidden
        x, z = (normed(residual, f"layers.{layer}.norm.weight") @ own["in_proj.weight"].T).chunk(2, dim=1)
        forward, backward = scanned(x, z, own, ""), scanned(x.flip(0), z.flip(0), own, "_b").flip(0)
        hidden = (forward + backward) / 2 @ own["out_proj.weight"].T
    token = normed(residual + hidden, "norm_f.weight")[middle]
    return weights["head.weight"] @ token + weights["head.bias"]


def test_is_what_the_facts_say_step_by_step(network):
    images = torch.randn(2, 3, 12, 20, dtype=torch.float64)
    weights = network.state_dict()

    with torch.no_grad():
        expected = torch.stack([classified(image, weights, patch=4, depth=3) for image in images])

        torch.testing.assert_close(network(images), expected)
        torch.testing.assert_close(network.float()(images.float()), expected.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("n_parameters", "n_tensors", "name", "classes", "overrides"),
    [
        (7_148_008, 415, "vim_tiny", 1000, {}),
        (7_250_344, 415, "vim_tiny", 1000, {"stride": 8}),
        (25_796_584, 415, "vim_tiny", 1000, {"d_model": 384}),
        (1_791_226, 143, "vim_cifar", 10, {}),
        (1_806_436, 143, "vim_cifar", 100, {}),
        (1_958_536, 143, "vim_cifar", 1000, {}),
    ],
)
def test_published_sizes_have_the_published_numbers(n_parameters, n_tensors, name, classes, overrides):
    with torch.device("meta"):
        network = create_network(name, 3, classes, **overrides)
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters
    assert len(network.state_dict()) == n_tensors
    assert network.uses_scan()


def test_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in create_network("vim_tiny", 3, 1000).state_dict().items()}
    mixer = {
        **{"in_proj.weight": (768, 192), "conv1d.weight": (384, 1, 4), "conv1d.bias": (384,), "D": (384,)},
        **{"x_proj.weight": (44, 384), "dt_proj.weight": (384, 12), "dt_proj.bias": (384,), "A_log": (384, 16)},
        **{"conv1d_b.weight": (384, 1, 4), "conv1d_b.bias": (384,), "D_b": (384,), "x_proj_b.weight": (44, 384)},
        **{"dt_proj_b.weight": (384, 12), "dt_proj_b.bias": (384,), "A_b_log": (384, 16)},
        "out_proj.weight": (192, 384),
    }
    layers = {f"layers.{i}.mixer.{key}": shape for i in range(24) for key, shape in mixer.items()}
    assert shapes == {
        **{"cls_token": (1, 1, 192), "pos_embed": (1, 197, 192), "norm_f.weight": (192,)},
        **{"patch_embed.proj.weight": (192, 3, 16, 16), "patch_embed.proj.bias": (192,)},
        **{"head.weight": (1000, 192), "head.bias": (1000,)},
        **{f"layers.{i}.norm.weight": (192,) for i in range(24)},
        **layers,
    }


def test_a_published_checkpoint_loads_and_code_in_one_is_refused(network, tmp_path):
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "vim.pth")
    torch.save({"model": network.state_dict(), "args": slice(3)}, tmp_path / "with_code.pth")
    fresh = Vim(3, 5, **SMALL).double().eval()

    report = load_upstream_weights(fresh, read_weights(tmp_path / "vim.pth"))

    images = torch.randn(1, 3, 12, 20, dtype=torch.float64)
    assert torch.equal(fresh(images), network(images))
    assert (report.missing, report.unused, len(report.loaded)) == ((), (), 7 + 3 * 17)
    with pytest.raises(ValueError, match="holds more than tensors and plain values"):
        read_weights(tmp_path / "with_code.pth")


def test_positions_follow_the_size_of_the_images_and_the_class_token_keeps_its_own(network):
    """A table that grows linearly to the right grows so at any size, away from the borders."""
    rows, columns = network.grid
    ramp = torch.arange(columns, dtype=torch.float64).expand(rows, columns).flatten()
    with torch.no_grad():
        network.pos_embed[:] = torch.cat((ramp[:7], torch.tensor([99.0]), ramp[7:]))[None, :, None]
    assert torch.equal(network._positions((3, 5)), network.pos_embed)

    twice = network._positions((6, 10))[0, :, 0]

    assert twice[30] == 99
    patches = torch.cat((twice[:30], twice[31:])).unflatten(0, (6, 10))
    # torch's cubic kernel bends a straight line a little.
    ramp = torch.tensor([1.25, 1.75, 2.25, 2.75], dtype=torch.float64)
    torch.testing.assert_close(patches[:, 3:7], ramp.expand(6, 4), rtol=0, atol=0.05)
    assert network(torch.randn(1, 3, 24, 40, dtype=torch.float64)).shape == (1, 5)


def test_images_that_are_no_whole_patches_are_padded_by_their_last_pixels(network):
    image = torch.randn(2, 3, 11, 18, dtype=torch.float64)
    padded = functional.pad(image, (0, 2, 0, 1), mode="replicate")
    assert torch.equal(network(image), network(padded))


def test_overlapping_patches_are_the_convolutions(network):
    overlapping = Vim(1, 2, **{**SMALL, "image_size": 12}, stride=2)
    assert overlapping.pos_embed.shape == (1, 26, 20)
    assert overlapping(torch.randn(1, 1, 12, 12)).shape == (1, 2)


def test_drop_path_grows_and_spares_the_first_additions():
    network = Vim(3, 5, **{**SMALL, "depth": 5}, drop_path_rate=0.4)
    rates = [layer.drop_path.drop_prob for layer in network.layers]
    assert rates == pytest.approx([0, 0, 0.1, 0.2, 0.3])
    assert network.drop_path.drop_prob == 0.4


def test_begins_with_the_published_values():
    torch.manual_seed(0)
    network = Vim(3, 1000, **{**SMALL, "d_model": 64, "depth": 4}).requires_grad_(False)
    assert not network.head.bias.any()
    assert not network.patch_embed.proj.bias.any()
    assert network.head.weight.std() == pytest.approx(0.02, rel=0.02)
    assert network.pos_embed.std() == pytest.approx(0.02, rel=0.1)
    assert network.patch_embed.proj.weight.std() == pytest.approx(48**-0.5, rel=0.05)
    bound = math.sqrt(1 / 128) / 2
    assert 0.95 * bound < network.layers[0].mixer.out_proj.weight.abs().max() <= bound


def test_states_positions_and_class_token_are_not_decayed():
    network = Vim(3, 5, **SMALL)
    decayed = {id(parameter) for parameter in parameter_groups(network, 0.1)[0]["params"]}
    kept = {name.rpartition("layers.")[2] for name, p in network.named_parameters() if id(p) not in decayed}
    assert {"pos_embed", "cls_token", "0.mixer.A_log", "0.mixer.D", "0.mixer.A_b_log", "0.mixer.D_b"} <= kept
    assert not {"0.mixer.in_proj.weight", "head.weight", "patch_embed.proj.weight"} & kept


def test_autocast_keeps_the_sum_of_the_layers_in_float32(network):
    network.float()
    sums = []
    network.layers[-1].register_forward_hook(lambda module, inputs, output: sums.append(output[0].dtype))
    images = torch.randn(2, 3, 12, 20)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(images)
    assert sums == [torch.float32]
    torch.testing.assert_close(logits.float(), network(images), rtol=0.1, atol=0.1)


def test_is_one_graph_for_the_compiler_also_at_another_size(network):
    images = torch.randn(2, 3, 22, 30)
    with torch.no_grad():
        compiled = torch.compile(network.float(), backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(images), network(images))


def test_trains_without_a_weight_that_gets_no_gradient():
    torch.manual_seed(0)
    network = Vim(3, 5, **SMALL)
    functional.cross_entropy(network(torch.randn(4, 3, 12, 20)), torch.tensor([0, 1, 2, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "Vim: num_classes=0, expected at least 1"),
        ({"patch_size": 16, "stride": 5}, "Vim: stride=5 for patch_size=16, expected a divisor of it"),
        ({"image_size": 8}, "Vim: image_size=8, expected (h, w) in pixels or one number for both, each at least"),
        ({"image_size": (32, 32, 3)}, "Vim: image_size=(32, 32, 3), expected (h, w)"),
        ({"image_size": "224"}, "Vim: image_size='224', expected (h, w)"),
        ({"drop_path_rate": 1.0}, "Vim: drop_path_rate=1.0, expected a probability"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Vim(**{"input_channels": 3, "num_classes": 1, **arguments})


def test_refuses_what_is_no_image_of_its_own(network):
    with pytest.raises(ValueError, match=r"Vim: input of shape \(1, 1, 12, 20\), expected \(b, 3, h, w\)"):
        network(torch.zeros(1, 1, 12, 20))
    with pytest.raises(ValueError, match="Vim: images of 3×20 pixels, expected at least 4×4, one patch"):
        network(torch.zeros(1, 3, 3, 20))
