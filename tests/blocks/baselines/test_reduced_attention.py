import re

import pytest
import torch
from torch import nn

from nnunet_mamba.blocks.baselines.reduced_attention import ReducedAttention


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(("n_heads", "reduction"), [(1, 4), (2, 2), (3, 1)])
def test_equals_torchs_attention_to_the_normalised_patches(n_heads, reduction):
    layer = ReducedAttention(6, n_heads=n_heads, reduction=reduction)
    nn.init.uniform_(layer.norm.weight)
    oracle = nn.MultiheadAttention(6, n_heads, batch_first=True)
    oracle.load_state_dict(
        {
            "in_proj_weight": torch.cat([layer.query.weight, layer.key_value.weight]),
            "in_proj_bias": torch.cat([layer.query.bias, layer.key_value.bias]),
            "out_proj.weight": layer.out_proj.weight,
            "out_proj.bias": layer.out_proj.bias,
        }
    )
    x = torch.randn(2, 8, 12, 6)

    with torch.no_grad():
        patches = x.reshape(2, 8 // reduction, reduction, 12 // reduction, reduction, 6)
        joined = torch.einsum("bhywxc,ocyx->bhwo", patches, layer.reduce.weight) + layer.reduce.bias
        seen = layer.norm(joined).flatten(1, 2)
        expected, _ = oracle(x.flatten(1, 2), seen, seen, need_weights=False)

        torch.testing.assert_close(layer(x).flatten(1, 2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"d_model": 0}, "ReducedAttention: d_model=0, expected a positive integer"),
        ({"n_heads": 0}, "ReducedAttention: n_heads=0, expected a positive integer"),
        ({"reduction": 0.5}, "ReducedAttention: reduction=0.5, expected a positive integer"),
        ({"n_heads": 4}, "ReducedAttention: d_model=6 for n_heads=4, expected a multiple; nearest is 8"),
        ({"d_model": 1, "n_heads": 4}, "ReducedAttention: d_model=1 for n_heads=4, expected a multiple; nearest is 4"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ReducedAttention(**{"d_model": 6, "n_heads": 2, "reduction": 2, **arguments})
