import pytest

from nnunet_mamba.doctor.findings import Finding
from nnunet_mamba.doctor.verdict import Verdict

GOOD = ("software", Finding(name="torch", text="2.6.0"))
HINT = ("machine", Finding(name="threads", level="hint", text="2 of 8", remedy="export OMP_NUM_THREADS=8"))
PROBLEM = ("nnU-Net", Finding(name="nnUNet_raw", level="problem", text="is not set"))


@pytest.mark.parametrize(
    ("findings", "can_train", "n_hints"),
    [([], True, 0), ([GOOD, HINT, HINT], True, 2), ([GOOD, HINT, PROBLEM], False, 1)],
)
def test_a_problem_and_nothing_else_keeps_a_training_from_running(findings, can_train, n_hints):
    verdict = Verdict(findings)
    assert (verdict.can_train, verdict.count("hint")) == (can_train, n_hints)


def test_everything_is_in_the_dictionary():
    content = Verdict([GOOD, HINT]).as_dict()
    assert content["can_train"]
    assert content["findings"][1] == {
        "area": "machine",
        "name": "threads",
        "level": "hint",
        "text": "2 of 8",
        "remedy": "export OMP_NUM_THREADS=8",
    }
