import re

import pytest

from nnunet_mamba.networks.u_mamba import UMambaBot, UMambaEnc, UMambaNoMamba

SMALL = {"features_per_stage": (4, 6, 8)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "num_classes=0, expected at least 1"),
        ({"features_per_stage": 32}, "features_per_stage=32, expected two channel numbers or more"),
        ({"features_per_stage": [8]}, "features_per_stage=[8], expected two channel numbers or more"),
        ({"features_per_stage": [8, 0, 8]}, "features_per_stage[1]=0, expected a whole number of at least 1"),
        ({"kernel_sizes": [3, 3]}, "kernel_sizes has 2 entries, features_per_stage asks for 3; pass that many, or one"),
        ({"kernel_sizes": [(3, 3), 3, (3, 2)]}, "kernel_sizes[2]=(3, 2), expected odd numbers"),
        ({"kernel_sizes": [(3, 3), 3, (3, 3, 3)]}, "kernel_sizes[2]=(3, 3, 3) names 3 axes, expected 2 in a 2D"),
        ({"kernel_sizes": [(3,), (3,), (3,)]}, "makes a network of 1 axes, expected 2 or 3"),
        ({"kernel_sizes": [(3, 3)] * 3, "spatial_dims": 3}, "kernel_sizes[0]=(3, 3) names 2 axes, expected 3 in a 3D"),
        ({"spatial_dims": 4}, "spatial_dims=4 makes a network of 4 axes, expected 2 or 3"),
        ({"strides": (1, 2)}, "strides has 2 entries, features_per_stage asks for 3"),
        ({"strides": (1, 2, (2, 2, 2))}, "strides[2]=(2, 2, 2) names 3 axes, expected 2 in a 2D network"),
        ({"strides": 2}, "strides[0]=(2, 2), expected 1 on every axis"),
        ({"strides": (1, 0, 2)}, "strides[1]=0, expected a whole number of at least 1"),
        ({"n_conv_per_stage": [2] * 4}, "n_conv_per_stage has 4 entries, features_per_stage asks for 3"),
        ({"n_conv_per_stage": 1.5}, "n_conv_per_stage[0]=1.5, expected a whole number of at least 1"),
        (
            {"n_conv_per_stage_decoder": [2] * 3},
            "n_conv_per_stage_decoder has 3 entries, features_per_stage asks for 2",
        ),
        ({"n_conv_per_stage_decoder": 0}, "n_conv_per_stage_decoder[0]=0, expected a whole number of at least 1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("network_class", [UMambaBot, UMambaNoMamba, UMambaEnc])
def test_refuses_arguments_that_do_not_fit(network_class, arguments, message):
    if network_class is UMambaEnc:
        arguments = {**arguments, "input_size": (16, 16)}

    with pytest.raises(ValueError, match=rf"^{network_class.__name__}: .*{re.escape(message)}"):
        network_class(**{"input_channels": 1, "num_classes": 2, **SMALL, **arguments})
