"""The comparison of scans finds what is wrong, and what is not the same twice."""

import pytest
import torch


@pytest.fixture
def findings(gpu_check):
    """A function that compares a scan by the reference in float32, after a change, with float64."""
    from gpu_checks import scan_accuracy
    from gpu_checks.scan_shapes import Shape, operands

    from nnunet_mamba.ops.scan.backends import BACKENDS

    def compare(change=lambda x: x):
        def case(device, dtype):
            return change(operands(Shape(1, 4, 20, n=3), device, dtype))

        return list(scan_accuracy._check(BACKENDS["reference"], case, torch.float32, "cpu"))

    return compare


def test_a_right_scan_is_one_row(findings):
    (finding,) = findings()
    assert finding.verdict == "ok"


@pytest.mark.parametrize(("number", "name"), [(0, "y"), (1, "du"), (3, "dA"), (7, "dz")])
def test_a_wrong_number_is_found_and_named(findings, monkeypatch, number, name):
    from gpu_checks import scan_accuracy

    right = scan_accuracy.y_and_gradients

    def spoilt(x):
        results = right(x)
        if x.u.dtype == torch.float32:
            results[number].flatten()[-1] += 0.01 * results[number].abs().max()
        return results

    monkeypatch.setattr(scan_accuracy, "y_and_gradients", spoilt)
    (finding,) = findings()
    assert finding.verdict == "WRONG"
    assert finding.value.startswith(f"1.0e-02 in {name},")


def test_nan_is_wrong(findings):
    def change(x):
        x.u[0, 0, -1] = float("nan") if x.u.dtype == torch.float32 else 0
        return x

    assert findings(change)[0].verdict == "WRONG"


def test_numbers_that_differ_the_second_time_are_found(findings, monkeypatch):
    from gpu_checks import scan_accuracy

    right, calls = scan_accuracy.y_and_gradients, []

    def restless(x):
        calls.append(x)
        y, *gradients = right(x)
        return (torch.nextafter(y, y + 1) if len(calls) == 2 else y, *gradients)

    monkeypatch.setattr(scan_accuracy, "y_and_gradients", restless)
    first, second = findings()
    assert first.verdict == "ok"
    assert (second.what, second.verdict) == ("twice", "WRONG")


def test_without_kernels_nothing_is_compared(gpu_check, monkeypatch):
    from gpu_checks import scan_accuracy
    from gpu_checks.checks import Setting, SkipCheck

    monkeypatch.setattr(scan_accuracy, "BACKENDS", {"reference": scan_accuracy.BACKENDS["reference"]})
    check = scan_accuracy.checks(Setting("cpu", is_dry_run=True))[-1]
    with pytest.raises(SkipCheck, match="nothing but the reference runs here"):
        list(check.run())


def test_sliced_operands_have_the_numbers_and_other_strides(gpu_check):
    from gpu_checks.scan_shapes import Shape, operands, sliced

    x = operands(Shape(2, 6, 21, groups=2), "cpu", torch.float32)
    for tensor, original in zip(sliced(x).tensors, x.tensors, strict=True):
        assert torch.equal(tensor, original)
        assert not tensor.is_contiguous()
