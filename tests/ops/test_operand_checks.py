import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_mamba.ops import cross_scan, mamba_mixer, pooled_group_norm, selective_scan
from nnunet_mamba.ops.directions.scan_order import merge_scans, swap_channels_and_tokens, unroll_map, unroll_maps


def cross(l=30, spatial=(5, 6), d=8, n=4, r=2, k=4, dtype=torch.float32, **changes):  # noqa: E741
    operands = {
        "projected": torch.randn(1, l, k, r + 2 * n, dtype=dtype),
        "dt_proj": torch.randn(k, d, r, dtype=dtype),
        "dt_bias": torch.randn(k, d, dtype=dtype),
        "A_logs": torch.zeros(k * d, n, dtype=dtype),
        "Ds": torch.ones(k * d, dtype=dtype),
        "spatial": spatial,
    }
    u = changes.pop("u", torch.randn(1, l, d, dtype=dtype))
    return cross_scan(u, **{**operands, **changes})


def mixer(d_model=4, d=8, n=4, r=2, dtype=torch.float32, **changes):
    operands = {
        "in_proj": torch.randn(2 * d, d_model, dtype=dtype),
        "conv": torch.randn(d, 1, 4, dtype=dtype),
        "x_proj": torch.randn(r + 2 * n, d, dtype=dtype),
        "dt_proj": torch.randn(d, r, dtype=dtype),
        "dt_bias": torch.randn(d, dtype=dtype),
        "A_log": torch.zeros(d, n, dtype=dtype),
        "D": torch.ones(d, dtype=dtype),
        "out_proj": torch.randn(d_model, d, dtype=dtype),
    }
    tokens = changes.pop("tokens", torch.randn(1, 9, d_model, dtype=dtype))
    return mamba_mixer(tokens, **{**operands, **changes})


WRONG_MAPS = {
    r"spatial=\(5, 4\), expected .* l = 30": {"spatial": (5, 4)},
    r"spatial=\(300, 400\), expected": {"spatial": (300, 400)},
    r"spatial=\(-5, -6\), expected": {"spatial": (-5, -6)},
    r"spatial\[0\] is 5.0 of type float": {"spatial": (5.0, 6)},
    "spatial is None": {"spatial": None},
    "spatial is of type Tensor, expected a sequence": {"spatial": torch.tensor(30)},
    r"projected has shape \(1, 30, 4, 5\), expected \(b, l, K, dt_rank \+ 2 \* n\) = \(1, 30, 4, 10\)": {
        "projected": torch.randn(1, 30, 4, 5)
    },
    r"A_logs has shape \(3, 4\), expected \(K \* d, n\) = \(32, 4\)": {"A_logs": torch.zeros(3, 4)},
    r"u has shape \(30, 8\), expected \(b, l, d\)": {"u": torch.randn(30, 8)},
    "Ds is torch.int64": {"Ds": torch.ones(32, dtype=torch.int64)},
    "Ds is torch.complex64; only real": {"Ds": torch.ones(32, dtype=torch.complex64)},
    "Ds is torch.float64 but u is torch.float32": {"Ds": torch.ones(32, dtype=torch.float64)},
    "dt_bias is on meta but u is on cpu": {"dt_bias": torch.empty(4, 8, device="meta")},
    "Ds is None, expected a tensor": {"Ds": None},
    "Ds has the layout torch.sparse_coo": {"Ds": torch.ones(32).to_sparse()},
}


@pytest.mark.parametrize(("text", "change"), WRONG_MAPS.items())
def test_cross_scan_names_the_wrong_operand(text, change):
    with pytest.raises((TypeError, ValueError), match=f"^cross_scan: {text}"):
        cross(**change)


def test_operators_that_are_composed_check_as_well():
    with pytest.raises(ValueError, match=r"^cross_scan: spatial=\(5, 4\), expected"):
        cross(dtype=torch.float64, spatial=(5, 4))
    with pytest.raises(ValueError, match=r"^mamba_mixer: A_log has shape \(2, 4\)"):
        mixer(dtype=torch.float64, A_log=torch.zeros(2, 4, dtype=torch.float64))


WRONG_BLOCKS = {
    r"tokens has shape \(1, 9, 40\), expected \(b, l, n_parallel \* d_model\) = \(1, 9, 4\)": {
        "tokens": torch.randn(1, 9, 40)
    },
    r"A_log has shape \(2, 4\), expected \(d_inner, n\) = \(8, 4\)": {"A_log": torch.zeros(2, 4)},
    r"x_proj has shape \(3, 8\), expected \(dt_rank \+ 2 \* n, d_inner\) = \(10, 8\)": {"x_proj": torch.randn(3, 8)},
    r"tokens has shape \(1, 9, 4\), expected .* = \(1, 9, 12\)": {"n_parallel": 3},
    "n_parallel = 0, expected at least 1": {"n_parallel": 0},
    "n_parallel is 1.0 of type float": {"n_parallel": 1.0},
    r"conv has shape \(8, 4\), expected \(d_inner, 1, d_conv\)": {"conv": torch.randn(8, 4)},
    r"dt_proj has shape \(8, 0\), so that dt_rank = 0, expected at least 1": {"dt_proj": torch.randn(8, 0)},
    r"in_bias has shape \(8,\), expected \(2 \* d_inner,\) = \(16,\)": {"in_bias": torch.randn(8)},
    "D is torch.float16 but tokens is torch.float32": {"D": torch.ones(8, dtype=torch.float16)},
    "D is torch.bool": {"D": torch.ones(8, dtype=torch.bool)},
}


@pytest.mark.parametrize(("text", "change"), WRONG_BLOCKS.items())
def test_mamba_mixer_names_the_wrong_operand(text, change):
    with pytest.raises((TypeError, ValueError), match=f"^mamba_mixer: {text}"):
        mixer(**change)


def norm(c=8, spatial=(4, 6), **changes):
    operands = {"x": torch.randn(2, c, *spatial), "weight": torch.ones(c), "bias": torch.zeros(c)}
    return pooled_group_norm(**{**operands, "groups": 4, "window": (2, 2), **changes})


WRONG_NORMS = {
    r"x has shape \(8, 4\), expected \(b, c, \*spatial\)": {"x": torch.ones(8, 4)},
    r"x has shape \(1, 1, 1, 1, 1, 1\), expected": {"x": torch.ones(1, 1, 1, 1, 1, 1)},
    "x is None, expected a tensor": {"x": None},
    "x is torch.int64": {"x": torch.ones(2, 8, 4, 6, dtype=torch.int64)},
    r"weight has shape \(4,\), expected \(c,\) = \(8,\)": {"weight": torch.ones(4)},
    "weight is None": {"weight": None},
    "bias is torch.float64 but x is torch.float32": {"bias": torch.zeros(8, dtype=torch.float64)},
    "bias is on meta but x is on cpu": {"bias": torch.zeros(8, device="meta")},
    "groups=3, expected a divisor of the number of channels, c = 8": {"groups": 3},
    "groups=0, expected": {"groups": 0},
    "groups is 4.0 of type float": {"groups": 4.0},
    r"window=\(2,\), expected a divisor of the size of each axis of the map, \(4, 6\)": {"window": (2,)},
    r"window=\(2, 4\), expected": {"window": (2, 4)},
    r"window=\(0, 2\), expected": {"window": (0, 2)},
    "window is 2 of type int, expected a sequence": {"window": 2},
    r"window\[1\] is 2.0 of type float": {"window": (2, 2.0)},
    "eps is 'small' of type str, expected a number": {"eps": "small"},
    "eps=-1.0, expected a number from 0 on": {"eps": -1.0},
    "eps=nan": {"eps": float("nan")},
}


@pytest.mark.parametrize(("text", "change"), WRONG_NORMS.items())
def test_pooled_group_norm_names_the_wrong_operand(text, change):
    with pytest.raises((TypeError, ValueError), match=f"^pooled_group_norm: {text}"):
        norm(**change)


@pytest.mark.parametrize("value", [None, 3, [1.0], np.ones((1, 4, 9))])
def test_selective_scan_refuses_what_is_no_tensor(make_operands, value):
    with pytest.raises(TypeError, match=r"^selective_scan: delta is .*, expected a tensor$"):
        selective_scan(*make_operands()._replace(delta=value))


def test_no_cases_or_no_tokens_give_empty_results():
    assert mixer(tokens=torch.randn(0, 9, 4)).shape == (0, 9, 4)
    assert mixer(tokens=torch.randn(2, 0, 4)).shape == (2, 0, 4)
    assert cross(l=0, spatial=(0, 6)).shape == (1, 0, 8)
    assert norm(spatial=(0, 6)).shape == (2, 8, 0, 3)


def test_sizes_may_be_those_of_numpy():
    torch.manual_seed(0)
    expected = cross()
    torch.manual_seed(0)
    assert torch.equal(cross(spatial=tuple(np.array([5, 6]))), expected)
    assert norm(window=tuple(np.array([2, 3]))).shape == (2, 8, 2, 2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: unroll_map(torch.ones(2, 3)), r"unroll_map: x has shape \(2, 3\), expected \(b, c, \*spatial\)"),
        (lambda: unroll_map("map"), "unroll_map: x is a str"),
        (lambda: unroll_maps(torch.ones(2, 3, 4, 5, 6)), "expected .* with 4 maps"),
        (lambda: merge_scans(torch.ones(2, 3, 4, 6), (2, 3)), r"expected \(b, 4, c, l\)"),
        (lambda: merge_scans(torch.ones(2, 4, 4, 5), (2, 3)), r"spatial=\(2, 3\), expected .* l = 5"),
        (lambda: swap_channels_and_tokens(torch.ones(2, 3)), r"expected \(b, c, l\)"),
    ],
)
def test_orders_of_scans_refuse_other_shapes(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_no_operand_of_any_registered_operator_crashes_the_process():
    script = Path(__file__).with_name("fuzz_operators.py")
    command = [sys.executable, str(script), "0", "80"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"ended with {run.returncode}:\n{run.stderr[-2000:]}"
    assert run.stdout.strip() == ""
