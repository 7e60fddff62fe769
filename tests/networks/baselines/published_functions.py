"""Layers as functions of published weights, for networks that are written a second time from their description."""

import torch
from torch.nn import functional

from nnunet_mamba.networks.upstream_weights import published_name


def published_weights(network):
    """Give the network random weights and running statistics, and return them by their published names."""
    torch.manual_seed(0)
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            value.fill_(7)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif not key.endswith("A_log"):
            value.add_(torch.randn_like(value), alpha=0.1)
    return {published_name(network, key): value for key, value in network.state_dict().items()}


class Weights(dict):
    """A published state dict, and the layers that its names stand for."""

    def conv(self, name, x, **options):
        """Convolve with as many zeros around the map as keep its size, unless ``padding`` says otherwise."""
        weight = self[f"{name}.weight"]
        dilation = options.get("dilation", 1)
        padding = tuple(dilation * (taps // 2) for taps in weight.shape[2:])
        return functional.conv2d(x, weight, self.get(f"{name}.bias"), **{"padding": padding, **options})

    def filters(self, name, x, **options):
        """Convolve each channel by itself."""
        return self.conv(name, x, groups=x.shape[1], **options)

    def batch_norm(self, name, x):
        mean, variance = self[f"{name}.running_mean"], self[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, self[f"{name}.weight"], self[f"{name}.bias"])

    def group_norm(self, name, x, groups):
        return functional.group_norm(x, groups, self[f"{name}.weight"], self[f"{name}.bias"])

    def layer_norm(self, name, x):
        return functional.layer_norm(x, x.shape[-1:], self[f"{name}.weight"], self[f"{name}.bias"])

    def linear(self, name, x):
        return functional.linear(x, self[f"{name}.weight"], self.get(f"{name}.bias"))


def pooled(x):
    return functional.max_pool2d(x, 2)


def doubled(x):
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def assert_same_logits(network, description):
    """Compare the network with ``description``, a function of published weights and images, at 64×96."""
    # In double precision, in which dozens of layers round by next to nothing.
    weights = Weights(published_weights(network.double().eval()))
    images = torch.randn(2, network.input_channels, 64, 96, dtype=torch.float64)

    with torch.no_grad():
        ours, described = network(images), description(weights, images)

    assert ours.shape == described.shape
    assert float(described.std()) > 1e-2
    assert float((ours - described).abs().max()) <= 1e-10 * float(described.abs().max())


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())
