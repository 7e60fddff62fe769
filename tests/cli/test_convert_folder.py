import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app


@pytest.fixture
def source(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "source" / folder).mkdir(parents=True)
    for number in range(3):
        photograph = np.random.default_rng(number).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(photograph).save(tmp_path / "source" / "images" / f"case{number}.jpg")
        mask = np.zeros((20, 30), np.uint8)
        mask[5:15, 5:20] = 255
        Image.fromarray(mask).save(tmp_path / "source" / "masks" / f"case{number}.png")
    return tmp_path / "source"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw"


def run(*arguments):
    return CliRunner().invoke(app, ["folder", *[str(argument) for argument in arguments], "--no-progress"])


def test_ends_with_a_table_and_the_next_command(source, raw):
    result = run(source)
    assert result.exit_code == 0, result.output
    assert "training cases  3" in result.stdout
    assert str(raw / "Dataset105_Folder") in result.stdout
    assert "nnUNetv2_plan_and_preprocess -d 105" in result.stdout


def test_options_reach_the_converter(source, tmp_path):
    (tmp_path / "labels.json").write_text('{"background": 0, "lesion": 255}')
    result = run(
        "--images", source / "images", "--masks", source / "masks", "--image-pattern", "{case}.jpg",
        "--mask-pattern", "{case}.png", "--labels", tmp_path / "labels.json", "--size", "8x16", "--sigmoid",
        "--channel-names", "red,green, blue", "--output", tmp_path, "--dataset-id", "7", "--name", "Mine",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "Dataset007_Mine" / "imagesTr" / "case0_0000.png").size == (16, 8)
    dataset = json.loads((tmp_path / "Dataset007_Mine" / "dataset.json").read_text())
    assert dataset["channel_names"] == {"0": "red", "1": "green", "2": "blue"}
    assert dataset["labels"] == {"background": 0, "lesion": [1, 1]}
    assert dataset["regions_class_order"] == [1]


def test_threshold_and_test_part_reach_the_converter(source, raw, tmp_path):
    (tmp_path / "test").mkdir()
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(
        tmp_path / "test/d.png"
    )
    Image.open(source / "masks/case0.png").resize((30, 20), Image.Resampling.BICUBIC).save(tmp_path / "test/d_m.png")
    for number in range(3):
        (source / "masks" / f"case{number}.png").rename(source / "masks" / f"case{number}_m.png")
    result = run(
        "--images", source / "images", "--masks", source / "masks", "--mask-pattern", "{case}_m", "--threshold", "127",
        "--test-images", tmp_path / "test",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "test cases      1 (1 with masks)" in result.stdout


def test_problems_are_listed_without_a_traceback(source, raw):
    (source / "images" / "case0.jpg").write_bytes(b"")
    Image.new("L", (30, 20), 3).save(source / "masks" / "case1.png")
    result = run(source)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Error: 2 problems found, nothing written" in result.stderr
    for text in ("case0", "the file is empty", "case1", "1 unknown value: 3 (600x); expected 0, 255"):
        assert text in result.stderr
    assert not raw.exists() or not any(raw.glob("Dataset*"))


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nowhere"], 1, "nowhere is not a folder"),
        (["{source}", "--labels", "{source}/none.json"], 1, "none.json"),
        (["{source}", "--mask-pattern", "x.png"], 1, "expected {case} in it"),
        (["{source}", "--mask-pattern", ""], 1, "pattern '': expected {case} in it"),
        (["{source}", "--channel-names", "a,,b"], 2, "--channel-names 'a,,b': expected different names"),
        (["{source}", "--label-names", "a,a"], 2, "--label-names 'a,a': expected different names"),
        (["{source}", "--label-names", "a"], 1, "need {label} in --mask-pattern"),
        (["{source}", "--channel-names", "a,b"], 1, "channel names a, b: expected 3 (colour) or 1 (grey)"),
        (["{source}", "--threshold", "nan"], 2, "--threshold nan: expected a number"),
        (["{source}", "--threshold", "inf"], 2, "--threshold inf: expected a number"),
        (["{source}", "--threshold", "300"], 1, "--threshold 300: pictures hold 0 to 255"),
        (["{source}", "--threshold", "-1"], 1, "--threshold -1: pictures hold 0 to 255"),
        (["{source}", "--size", "0"], 2, "size '0': expected"),
        (["{source}", "--size", ""], 2, "size '': expected"),
        (["{source}", "--dataset-id", "0"], 2, "data set id 0: expected 1 to 999"),
        (["{source}", "--name", ""], 2, "data set name '': expected letters"),
        (["{source}", "--split", ""], 2, "--split : expected one of five-fold"),
    ],
)
def test_wrong_arguments_are_explained(source, raw, arguments, code, text):
    result = run(*[argument.replace("{source}", str(source)) for argument in arguments])
    assert result.exit_code == code
    assert text in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--images", "x"],
        ["x", "--test-masks", "x"],
        ["x", "--images-only", "out", "--sigmoid"],
        ["x", "--images-only", "out", "--threshold", "0"],
    ],
)
def test_arguments_that_exclude_each_other_are_refused(arguments):
    assert run(*arguments).exit_code == 2


def test_images_only_writes_the_input_of_a_prediction(source, tmp_path):
    result = run("--images", source / "images", "--image-pattern", "{case}", "--images-only", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "new").glob("*.png")) == [f"case{n}_0000.png" for n in range(3)]
    assert "nnUNetv2_predict -i" in result.stdout


def test_masks_that_may_be_inverted_get_a_hint(source, raw):
    assert "Hint" not in run(source).stderr
    for path in (source / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    result = run(source, "--name", "Inverted", "--dataset-id", 106)
    assert result.exit_code == 0, result.output
    assert (
        "Hint: the masks of 3 cases (case0, case1, case2), of 3, are mostly foreground (75% on average)"
        in result.stderr
    )


def test_nnunets_ignore_is_refused_in_other_letters(source, raw, tmp_path):
    (tmp_path / "labels.json").write_text('{"lesion": 255, "Ignore": 128}')
    result = run(source, "--labels", tmp_path / "labels.json")
    assert result.exit_code == 1
    assert "write 'ignore', in small letters" in result.stderr
    assert not raw.exists()


def zipped(source, path, *, separator="/"):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.rglob("*.*")):
            name = f"data/{file.relative_to(source).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name.replace("/", separator)), file.read_bytes())
    return path


def test_an_archive_of_windows_is_a_folder(source, raw, tmp_path):
    result = run(zipped(source, tmp_path / "data.zip", separator="\\"))
    assert result.exit_code == 0, result.output
    assert "training cases  3" in result.stdout


def test_messages_name_the_archive(source, raw, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    (source / "masks" / "case1.png").write_bytes(b"")
    (source / "masks" / "case2.png").write_bytes((source / "masks" / "case0.png").read_bytes())
    (source / "images" / "case2.jpg").write_bytes((source / "images" / "case0.jpg").read_bytes())
    archive = zipped(source, tmp_path / "data.zip")
    result = run(archive, "--report", tmp_path / "problems.csv")
    assert result.exit_code == 1
    report = (tmp_path / "problems.csv").read_text()
    assert f"{archive}/data/masks/case1.png" in report
    assert f"the same picture as case0 ({archive}/data/images/case0.jpg)" in report
    wrong_pattern = run(archive, "--image-pattern", "pictures/{case}.png")
    assert wrong_pattern.exit_code == 1
    assert str(archive) in wrong_pattern.stderr
    assert run(archive, "--skip-invalid").exit_code == 0
    record = (raw / "Dataset105_Folder" / "nnunet_mamba_conversion.json").read_text()
    for text in (result.stderr, report, wrong_pattern.stderr, record):
        assert "partial-unpacked" not in text


def test_a_lack_of_memory_while_writing_is_told_in_words(source, raw, monkeypatch):
    from nnunet_mamba.data.converters.label_mask_images import LabelMaskImageConverter

    def fail(self, case):
        raise MemoryError

    monkeypatch.setattr(LabelMaskImageConverter, "read", fail)
    result = run(source, "--jobs", 1)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Error: the memory is full; run the same command again with --jobs 1" in result.stderr
