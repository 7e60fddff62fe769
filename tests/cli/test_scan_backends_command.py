import json
import sys

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.cli.scan_backends import scan_backends
from nnunet_mamba.ops.scan import survey_report
from nnunet_mamba.ops.scan.backends import VARIABLE
from nnunet_mamba.ops.scan.survey import Measurement

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(scan_backends)

KERNEL = Measurement(
    backend="numba_cpu",
    device="cpu",
    error=1e-7,
    gradient_error=2.5e-7,
    worst_gradient="A",
    forward=1.25,
    forward_backward=5.0,
)
REFERENCE = Measurement(
    backend="reference",
    device="cpu",
    error=3e-7,
    gradient_error=4e-7,
    worst_gradient="D",
    forward=125.0,
    forward_backward=1000.0,
)
REFUSED = Measurement(backend="triton_gpu", device="cpu", refusal="runs on cuda, not on cpu\nin many [lines]")


@pytest.fixture(autouse=True)
def _measured(monkeypatch):
    def measure(seed, *, on_start):
        on_start("something")
        return iter([KERNEL, REFUSED, REFERENCE])

    monkeypatch.setattr(survey_report, "measure_backends", measure)
    monkeypatch.delenv(VARIABLE, raising=False)


def run(*options):
    return CliRunner().invoke(app, options)


def lines(output):
    """The lines without the padding of columns."""
    return [" ".join(text.split()) for text in output.splitlines()]


def test_table_has_errors_and_times_and_how_many_times_faster():
    result = run("--seed", "7")
    assert result.exit_code == 0, result.output
    assert "numba_cpu cpu yes 1.0e-07 2.5e-07 1.2 (100 x) 5.0 (200 x)" in lines(result.output)
    assert "reference cpu yes 3.0e-07 4.0e-07 125 (1 x) 1000 (1 x)" in lines(result.output)
    assert "--seed 7" in result.output
    assert result.stderr.strip() in ("", "measuring something")


def test_a_refused_backend_has_its_reason_in_one_line():
    output = run().output
    assert "triton_gpu cpu no" in lines(output)
    assert "triton_gpu on cpu: no, runs on cuda, not on cpu" in lines(output)
    assert "[lines]" not in output


def test_says_what_a_scan_takes_for_each_dtype():
    output = run().output
    assert "a scan on float32 float16 bfloat16 float64" in lines(output)
    assert "cpu numba_cpu numba_cpu numba_cpu reference" in lines(output)
    assert f"{VARIABLE} is not set" in output


def test_says_that_a_backend_is_forced(monkeypatch):
    monkeypatch.setenv(VARIABLE, "numba_cpu")
    result = run()
    assert result.exit_code == 0
    assert ["cpu", "numba_cpu", "numba_cpu", "numba_cpu", "none"] in [
        text.split() for text in result.output.splitlines()
    ]
    assert f"{VARIABLE}=numba_cpu forces" in result.output


def test_a_forced_backend_that_does_not_exist_is_an_error_after_the_table(monkeypatch):
    monkeypatch.setenv(VARIABLE, "fastest")
    result = run()
    assert result.exit_code == 1
    assert "numba_cpu" in result.stdout
    assert "Error: NNUNET_MAMBA_SCAN='fastest' is not a scan backend" in result.stderr
    assert "forces" not in result.stdout


def test_json_holds_everything(monkeypatch):
    monkeypatch.setenv(VARIABLE, "reference")
    report = json.loads(run("--json", "--seed", "7").stdout)
    assert [row["backend"] for row in report["backends"]] == ["numba_cpu", "triton_gpu", "reference"]
    assert report["backends"][0]["gradient_error"] == 2.5e-7
    assert report["backends"][1]["refusal"].endswith("[lines]")
    assert report["choices"][0] == {"device": "cpu", "dtype": "float32", "backend": "reference", "problem": None}
    assert (report[VARIABLE], report["seed"]) == ("reference", 7)
    assert report["speed_shape"] == {"b": 8, "d": 256, "l": 256, "n": 16}
    assert report["packages"]["torch"]


def test_a_torch_that_cannot_be_imported_is_a_line_of_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run()
    assert result.exit_code == 1
    assert "Error: torch cannot be imported" in result.stderr
    assert "nnunet-mamba doctor" in result.stderr


def test_a_seed_that_torch_cannot_take_is_a_usage_error():
    result = run("--seed", str(2**64))
    assert result.exit_code == 2
    assert "--seed" in result.stderr
