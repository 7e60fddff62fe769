import re

import pytest

from nnunet_mamba.data.restoring.record_faults import record_faults


def record():
    source = {"shape": [3, 5, 4], "orientation": 6, "slices": ["1", "2", "3"], "file": "scan/a.png"}
    source["affine"] = [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    case = {"part": "training", "files": ["a.jpg", "a.png"], "bytes": [10, 20], "label_folder": 1, "source": source}
    options = {"size": "64x64", "threshold": 127, "source_labels": {"background": 0, "lesion": ["#ff0000", 255]}}
    return {"options": options, "sources": ["/images", "/masks"], "cases": {"a": case}}


def test_what_conversions_write_has_no_fault():
    assert record_faults(record()) == []
    content = record()
    content["options"] = {}
    content["cases"]["a"]["source"] = {"shape": [30, 40]}
    del content["cases"]["a"]["label_folder"]
    assert record_faults(content) == []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content, case: content.update(options=None), "options are None, expected an object"),
        (lambda content, case: content["options"].update(threshold="x"), "threshold is 'x', expected a number"),
        (lambda content, case: content["options"]["source_labels"].update(lesion=float("nan")), "lesion is nan"),
        (lambda content, case: content["options"]["source_labels"].update(lesion=[]), r"lesion is \[\]"),
        (lambda content, case: content["options"]["source_labels"].update(lesion="#gg0000"), "lesion is '#gg0000'"),
        (lambda content, case: content["options"].update(source_labels=[]), r"source_labels are \[\]"),
        (lambda content, case: content.update(sources=None), "sources are None, expected folders"),
        (lambda content, case: case["source"].update(shape=[0, 5]), "^case a: shape of its source"),
        (lambda content, case: case["source"].update(shape=[10**6, 10**6]), "^case a: shape of its source"),
        (lambda content, case: case["source"].update(shape="ab"), "^case a: shape of its source is 'ab'"),
        (lambda content, case: case["source"].update(orientation=99), "orientation of its source is 99"),
        (lambda content, case: case["source"].update(affine=[[1]]), "affine of its source"),
        (lambda content, case: case["source"].update(slices=["s", "s"]), "slices of its source"),
        (lambda content, case: case["source"].update(file="../out.png"), "file of its source is '../out.png'"),
        (lambda content, case: case["source"].update(file="/out.png"), "file of its source is '/out.png'"),
        (lambda content, case: case.update(files=[]), r"files are \[\], expected names"),
        (lambda content, case: case.pop("source"), "^case a: source is None, expected an object with the shape"),
        (lambda content, case: case["source"].pop("shape"), "^case a: source is {.*expected an object with the shape"),
        (lambda content, case: case.update(label_folder=None), "label_folder is None, expected a number below"),
        (lambda content, case: case.update(label_folder=7), "label_folder is 7, expected a number below"),
    ],
)
def test_every_fault_is_told(edit, message):
    content = record()
    edit(content, content["cases"]["a"])
    [fault] = record_faults(content)
    assert re.search(message, fault)


def test_all_faults_are_told():
    content = record()
    content["options"]["threshold"] = float("nan")
    content["cases"]["a"].update(bytes=[1], label_folder=-1)
    assert len(record_faults(content)) == 3
