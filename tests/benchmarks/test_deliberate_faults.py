"""Deliberate faults: the table is of this tree, and the script tells those that are caught from those that are not."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks/deliberate_faults"


@pytest.fixture
def script(monkeypatch):
    """The script's module."""
    monkeypatch.setattr(sys, "path", [str(SCRIPT), *sys.path])
    import count_caught_faults

    return count_caught_faults


@pytest.fixture
def tree(tmp_path):
    """A checkout whose tests know more of the first number than of the second and the third."""
    files = {
        "nnunet_mamba/__init__.py": "",
        "nnunet_mamba/demo/__init__.py": "",
        "nnunet_mamba/demo/three.py": "FIRST = 1\nSECOND = 2\nTHIRD = 3\n",
        "tests/demo/test_three.py": (
            "from nnunet_mamba.demo import three\n\ndef test_first():\n    assert three.FIRST == 1\n"
        ),
        "tests/test_sum.py": (
            "from nnunet_mamba.demo.three import FIRST, SECOND\n\ndef test_sum():\n    assert FIRST + SECOND == 3\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    return tmp_path / "tree"


@pytest.fixture
def faults(script, monkeypatch):
    """One fault for each of the three numbers."""
    names = ("FIRST", "SECOND", "THIRD")
    made = tuple(
        script.Fault(name=name, package="demo", old=f"{name} = {i}", new=f"{name} = 0")
        for i, name in enumerate(names, 1)
    )
    monkeypatch.setattr(script, "FAULTS", made)
    return made


def test_every_fault_of_the_table_has_one_place_in_this_tree(script):
    places = [script.find_place(ROOT, fault) for fault in script.FAULTS]
    assert len(places) == len({fault.name for fault in script.FAULTS}) == 30
    # Spread over all packages; most have more than one.
    packages = Counter(place.file.parts[1] for place in places)
    folders = {path.parent.name for path in (ROOT / "nnunet_mamba").glob("*/__init__.py")}
    assert packages.keys() - {"presets.py"} <= folders


def test_finds_what_is_caught_by_which_tests(script, tree, faults, tmp_path, capsys):
    before = {path: path.read_text() for path in tree.rglob("*.py")}
    file = tmp_path / "results.jsonl"
    script.main(["--tree", str(tree), "--results", str(file)])

    results = {line["fault"]: line for line in map(json.loads, file.read_text().splitlines())}
    assert {name: line["caught_by"] for name, line in results.items()} == {
        "no fault": None,
        "FIRST": "tests/demo/test_three.py::test_first",
        "SECOND": "tests/test_sum.py::test_sum",
        "THIRD": None,
    }
    assert [name for name, line in results.items() if line["is_mirrored"]] == ["FIRST"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 of 3 faults caught, 1 of them")
    assert {path: path.read_text() for path in tree.rglob("*.py")} == before


def test_goes_on_where_an_earlier_run_stopped(script, tree, faults, tmp_path, monkeypatch):
    file = tmp_path / "results.jsonl"
    ran = []
    monkeypatch.setattr(script, "run_tests", lambda copy, arguments, workers: ran.append(tuple(arguments)))
    script.main(["--tree", str(tree), "--results", str(file), "--only", "THIRD", "--mirrored"])
    assert ran == [("tests/demo",)] * 2
    ran.clear()
    script.main(["--tree", str(tree), "--results", str(file), "--mirrored"])
    assert ran == [("tests/demo",)] * 2
    ran.clear()
    script.main(["--tree", str(tree), "--results", str(file), "--only", "THIRD"])
    assert ran == [("tests",), ("tests/demo",), ("tests", "--ignore=tests/demo")]


def test_tests_that_fail_without_a_fault_prove_nothing(script, tree, faults, tmp_path):
    (tree / "tests/test_sum.py").write_text("def test_sum():\n    assert False\n")
    with pytest.raises(script.TestRunError, match=r"without any fault: tests/test_sum\.py::test_sum"):
        script.main(["--tree", str(tree), "--results", str(tmp_path / "results.jsonl")])


@pytest.mark.parametrize(("text", "found"), [("", "nowhere"), ("FIRST = 1\nFIRST = 1\n", "three.py, ")])
def test_a_text_that_is_not_there_once_ends_the_run(script, tree, faults, tmp_path, text, found):
    (tree / "nnunet_mamba/demo/three.py").write_text(text)
    with pytest.raises(LookupError, match=f"'FIRST': its text is in .*{found}"):
        script.main(["--tree", str(tree), "--results", str(tmp_path / "results.jsonl")])
