import json
import subprocess
import sys

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.restore import restore
from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import PhotographConverter, photograph_description
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import write_raw_dataset

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(restore)


@pytest.fixture
def convert(tmp_path):
    cases = []
    (tmp_path / "source").mkdir()
    for number in range(3):
        image, mask = (tmp_path / "source" / f"{kind}{number}.png" for kind in ("image", "mask"))
        noise = np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(image)
        y, x = np.mgrid[:60, :80]
        Image.fromarray(((y - 30) ** 2 + (x - 37) ** 2 < (9 + 5 * number) ** 2).astype(np.uint8) * 255).save(mask)
        cases.append(Case(identifier=f"case{number}", channels=(image,), mask=mask))

    def write(size):
        options = {"size": f"{size[0]}x{size[1]}", "source_labels": {"background": 0, "lesion": 255}}
        description = photograph_description("lesion", sigmoid=False)
        folder = tmp_path / "raw"
        record = ConversionRecord.of("test", options, cases)
        write_raw_dataset(cases, folder, description, converter=PhotographConverter(size=size), record=record)
        return folder

    return write


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--no-progress")])


def test_ends_with_the_folder_of_the_restored_masks(convert, tmp_path):
    raw = convert((32, 32))
    result = run(raw / "labelsTr", raw, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"3 masks, 3 of them written by this run:\n{tmp_path / 'out'}\n"
    assert Image.open(tmp_path / "out" / "case1.png").size == (80, 60)
    assert "0 of them written" in run(raw / "labelsTr", raw, "--output", tmp_path / "out").stdout


def test_check_prints_one_at_the_original_size(convert, tmp_path):
    raw = convert((60, 80))
    result = run(raw / "labelsTr", raw, "--output", tmp_path / "out", "--check")
    assert "lesion: Dice with the masks before conversion 1.0000 (mean of 3), lowest 1.0000 (case0)" in result.stdout


def test_check_prints_what_resizing_costs(convert, tmp_path):
    raw = convert((32, 32))
    result = run(raw / "labelsTr", raw, "--output", tmp_path / "out", "--check")
    dice = []
    for number in range(3):
        one, other = (
            np.asarray(Image.open(path)) > 0
            for path in (tmp_path / "out" / f"case{number}.png", tmp_path / "source" / f"mask{number}.png")
        )
        dice.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert 0.8 < min(dice) < 0.999
    mean = f"{np.mean(dice):.4f} (mean of 3)"
    assert f"{mean}, lowest {min(dice):.4f} (case{np.argmin(dice)})" in result.stdout


def test_check_says_what_it_could_not_compare(convert, tmp_path):
    raw = convert((32, 32))
    (tmp_path / "source" / "mask1.png").unlink()
    result = run(raw / "labelsTr", raw, "--output", tmp_path / "out", "--check")
    assert result.exit_code == 0
    assert "(mean of 2)" in result.stdout
    assert "1 masks are not compared:\n  case1: mask1.png" in result.stdout


def test_says_that_values_are_kept_where_those_of_the_source_are_unknown(convert, tmp_path):
    raw = convert((32, 32))
    content = json.loads((raw / RECORD_FILE).read_text())
    del content["options"]["source_labels"]
    (raw / RECORD_FILE).write_text(json.dumps(content))
    result = run(raw / "labelsTr", raw, "--output", tmp_path / "out", "--check")
    assert "the masks keep nnU-Net's" in result.stderr
    assert "3 masks are not compared:" in result.stdout
    assert "Dice" not in result.stdout


def test_problems_are_listed_without_a_traceback(convert, tmp_path):
    raw = convert((32, 32))
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(raw / "labelsTr" / "case1.png")
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(raw / "labelsTr" / "other.png")
    result = run(raw / "labelsTr", raw, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert f"Error: 2 problems found, nothing written to {tmp_path / 'out'}" in result.stderr
    assert "case1" in result.stderr
    assert "6 x 5 pixels" in result.stderr
    assert "other" in result.stderr
    assert "no case of" in result.stderr
    assert not (tmp_path / "out").exists()


def test_needs_neither_torch_nor_nnunet(convert, tmp_path):
    raw = convert((32, 32))
    code = (
        "import sys, typer\nfrom nnunet_mamba.cli.restore import restore\n"
        f"sys.argv = ['x', {str(raw / 'labelsTr')!r}, {str(raw)!r}, '--output', {str(tmp_path / 'out')!r}, '--check']\n"
        "try: typer.run(restore)\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'nnunetv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_masks_among_the_images_are_a_note(convert, tmp_path):
    raw = convert((32, 32))
    output = tmp_path / "source" / "out"
    result = run(raw / "labelsTr", raw, "--output", output)
    assert f"{output} lies in {tmp_path / 'source'}, where the images are: move it before" in result.stderr
    assert "lies in" not in result.stdout
    assert "lies in" not in run(raw / "labelsTr", raw, "--output", tmp_path / "elsewhere").stderr
