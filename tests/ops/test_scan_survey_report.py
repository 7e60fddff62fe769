import json
import math

import pytest

from nnunet_mamba.ops.scan import survey_report
from nnunet_mamba.ops.scan.survey import Choice, Measurement
from nnunet_mamba.ops.scan.survey_report import survey_backends

ROWS = [
    Measurement(backend="numba_cpu", device="cpu", error=math.nan, forward=1.0),
    Measurement(backend="triton_gpu", device="cpu", refusal=" runs on cuda\nand on nothing else"),
]


@pytest.fixture
def survey(monkeypatch):
    """Survey made-up backends, of which a scan in float32 takes the one of a name, and others none."""

    def run(backend, seed=None):
        chosen = [
            Choice(device="cpu", dtype="float64", backend=None, problem="none can"),
            Choice(device="cpu", dtype="float32", backend=backend),
        ]
        monkeypatch.setattr(survey_report, "measure_backends", lambda seed, on_start: iter(ROWS))
        monkeypatch.setattr(survey_report, "choices", lambda: chosen)
        return survey_backends(seed, on_start=lambda text: None)

    return run


def test_a_problem_is_one_only_where_no_scan_can_run(survey):
    assert survey("numba_cpu").problem is None
    assert survey(None).problem == "none can"


def test_refusals_have_one_line(survey):
    assert survey("numba_cpu").refusals == ["triton_gpu on cpu: no, runs on cuda"]


def test_everything_can_be_json(survey):
    content = survey("numba_cpu", seed=7).as_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert (content["seed"], content["backends"][0]["error"]) == (7, "nan")
    assert content["packages"]["torch"]
    assert [choice["dtype"] for choice in content["choices"]] == ["float64", "float32"]


def test_another_seed_is_drawn_each_time(survey):
    assert survey("numba_cpu").seed != survey("numba_cpu").seed
