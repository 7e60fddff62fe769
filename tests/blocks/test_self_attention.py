import pytest
import torch
from torch import nn

from nnunet_mamba.blocks.self_attention import SelfAttention


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize("causal", [False, True])
def test_equals_torchs_attention_of_one_head(causal):
    layer, oracle = SelfAttention(6, causal=causal), nn.MultiheadAttention(6, 1, batch_first=True)
    names = {"in_proj.weight": "in_proj_weight", "in_proj.bias": "in_proj_bias"}
    oracle.load_state_dict({names.get(key, key): value for key, value in layer.state_dict().items()})
    tokens = torch.randn(2, 9, 6)
    mask = torch.ones(9, 9, dtype=torch.bool).triu(1) if causal else None

    with torch.no_grad():
        expected, _ = oracle(tokens, tokens, tokens, attn_mask=mask, need_weights=False)

        torch.testing.assert_close(layer(tokens), expected, rtol=1e-5, atol=1e-6)


def test_parallel_chunks_are_mixed_each_by_itself():
    layer, tokens = SelfAttention(6), torch.randn(2, 9, 18)

    with torch.no_grad():
        alone = torch.cat([layer(chunk) for chunk in tokens.chunk(3, dim=2)], dim=2)

        torch.testing.assert_close(layer(tokens, n_parallel=3), alone, rtol=1e-5, atol=1e-6)
