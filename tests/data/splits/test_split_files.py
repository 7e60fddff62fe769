import json
import shutil
import subprocess
import sys

import pytest

from nnunet_mamba.data.splits.case_splits import five_fold
from nnunet_mamba.data.splits.split_files import (
    SPLITS_FILE,
    adopt_splits,
    read_splits,
    refuse_other_splits,
    write_splits,
)

NAME = "Dataset901_Tiny"


@pytest.fixture
def split():
    return five_fold({f"disc_{number:02d}": f"patient {number // 2}" for number in range(10)})


@pytest.fixture
def raw(tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "nnUNet_raw" / NAME).mkdir(parents=True)
    return tmp_path / "nnUNet_raw" / NAME


def test_goes_beside_the_raw_data_as_nnunet_reads_it(raw, split, tmp_path):
    assert write_splits(raw, split) == [raw / SPLITS_FILE]
    stored = json.loads((raw / SPLITS_FILE).read_text())
    assert [len(fold["train"]) for fold in stored] == [8] * 5
    assert stored == split.as_json()
    assert not (tmp_path / "nnUNet_preprocessed").exists()


def test_goes_beside_the_preprocessed_data_too_once_they_are_there(raw, split, tmp_path):
    planned = tmp_path / "nnUNet_preprocessed" / NAME
    planned.mkdir(parents=True)
    assert write_splits(raw, split) == [raw / SPLITS_FILE, planned / SPLITS_FILE]
    assert json.loads((planned / SPLITS_FILE).read_text()) == split.as_json()


def test_a_data_set_outside_nnunets_folder_is_not_mixed_up_with_a_planned_one(raw, split, tmp_path):
    (tmp_path / "nnUNet_preprocessed" / NAME).mkdir(parents=True)
    assert write_splits(tmp_path / "elsewhere" / NAME, split) == [tmp_path / "elsewhere" / NAME / SPLITS_FILE]


def test_a_second_run_leaves_the_files_as_they_are(raw, split):
    write_splits(raw, split)
    before = (raw / SPLITS_FILE).stat().st_mtime_ns
    assert write_splits(raw, split) == [raw / SPLITS_FILE]
    assert (raw / SPLITS_FILE).stat().st_mtime_ns == before


def test_other_splits_are_refused_and_nothing_is_written(raw, split, tmp_path):
    planned = tmp_path / "nnUNet_preprocessed" / NAME
    planned.mkdir(parents=True)
    others = split.as_json()
    others[3], others[4] = others[4], others[3]
    (planned / SPLITS_FILE).write_text(json.dumps(others))
    with pytest.raises(FileExistsError, match=rf"other splits than five-fold are in place: {planned}.*5 folds.*delete"):
        write_splits(raw, split)
    assert not (raw / SPLITS_FILE).exists()


def test_the_order_of_cases_and_more_folds_are_the_same_splits(raw, split):
    more = [{side: names[::-1] for side, names in fold.items()} for fold in split.as_json()]
    (raw / SPLITS_FILE).write_text(json.dumps([*more, {"train": ["a"], "val": ["b"]}]))
    refuse_other_splits(raw, split)
    (raw / SPLITS_FILE).write_text(json.dumps(more[:4]))
    with pytest.raises(FileExistsError, match="4 folds"):
        refuse_other_splits(raw, split)


def test_a_split_without_folds_writes_nothing(raw):
    assert write_splits(raw, five_fold({"one": None})) == []
    assert list(raw.iterdir()) == []


def test_preprocessed_data_adopt_the_splits_unless_they_have_their_own(raw, split, tmp_path):
    planned = tmp_path / "nnUNet_preprocessed" / NAME
    assert adopt_splits(planned) is None
    write_splits(raw, split)
    assert adopt_splits(planned) == raw / SPLITS_FILE
    assert (planned / SPLITS_FILE).read_bytes() == (raw / SPLITS_FILE).read_bytes()
    (planned / SPLITS_FILE).write_text("theirs")
    assert adopt_splits(planned) is None
    assert (planned / SPLITS_FILE).read_text() == "theirs"


def test_nothing_is_adopted_without_a_raw_folder(raw, tmp_path, split, monkeypatch):
    write_splits(raw, split)
    monkeypatch.delenv("nnUNet_raw")
    assert adopt_splits(tmp_path / "nnUNet_preprocessed" / NAME) is None


@pytest.fixture
def fingerprinted(planned, monkeypatch):
    """The tiny data set before nnU-Net's planner: raw data and fingerprint."""
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)
    for path in planned.preprocessed.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "dataset_fingerprint.json":
            path.unlink()
    return planned


PLAN_TWICE = """
import sys
from pathlib import Path
from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_experiment_entry
splits = Path(sys.argv.pop())
for _ in range(2):
    plan_experiment_entry()
    print(splits.read_text().replace("\\n", ""))
"""


def test_nnunet_takes_the_splits_over_when_it_plans_and_when_it_plans_again(fingerprinted, split):
    write_splits(fingerprinted.root / "nnUNet_raw" / NAME, split)
    process = subprocess.run(
        [sys.executable, "-c", PLAN_TWICE, "-d", "901", str(fingerprinted.preprocessed / SPLITS_FILE)],
        env=fingerprinted.environment(nnUNet_n_proc_DA="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    printed = [line for line in process.stdout.splitlines() if line.startswith("[")]
    assert [json.loads(line) for line in printed] == [split.as_json()] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"null", r"nothing \(null\), not a list of folds"),
        (b'{"train": []}', "an object, not a list of folds"),
        (b"[]", "an empty list, without folds"),
        (b"[3]", "fold 0 is a number, not an object"),
        (b'[{"train": ["a"]}]', "fold 0 has no list of cases under 'val'"),
        (b'[{"train": ["a"], "val": []}]', "fold 0 has no list of cases under 'val'"),
        (b'[{"train": "abc", "val": ["b"]}]', "fold 0 has no list of cases under 'train'"),
        (b'[{"train": ["a", ""], "val": ["b"]}]', "fold 0 has no list of cases under 'train'"),
        (b'[{"train": ["a", 3], "val": ["b"]}]', "fold 0 has no list of cases under 'train'"),
        (b"", "is empty"),
        (b"{", "is not JSON"),
        (b"\x80\x02}", "is not UTF-8 text"),
        (b"\xef\xbb\xbf[]", "byte order mark, which nnU-Net cannot read"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_in_the_place_of_splits_are_told_by_all_who_read_them(raw, split, content, message):
    file = raw / SPLITS_FILE
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as read:
        read_splits(file)
    with pytest.raises(ValueError, match=message) as written:
        write_splits(raw, split)
    assert str(read.value) == str(written.value)
    assert str(read.value).startswith(str(file))
    assert str(read.value).endswith("write the file anew, or delete it")
    assert file.read_bytes() == content


def test_splits_are_read_without_what_else_their_folds_hold(raw):
    fold = {"train": ["a", "b"], "val": ["c"]}
    (raw / SPLITS_FILE).write_text(json.dumps([fold, {**fold, "test": ["d"]}]))
    assert read_splits(raw / SPLITS_FILE) == [fold, fold]


@pytest.mark.parametrize("side", ["train", "val"])
def test_a_case_that_stands_twice_or_on_both_sides_makes_other_splits(raw, split, side):
    folds = split.as_json()
    folds[0][side].append(folds[0]["val"][0])
    (raw / SPLITS_FILE).write_text(json.dumps(folds))
    assert read_splits(raw / SPLITS_FILE) == folds
    with pytest.raises(FileExistsError, match="other splits than five-fold are in place"):
        write_splits(raw, split)
