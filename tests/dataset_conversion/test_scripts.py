"""The scripts of dataset_conversion/: the conversion commands with what they declare, made to be copied and changed."""

import json
import os
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conversion_runs import draw_own_pictures, draw_photographs, draw_scans
from PIL import Image
from typer.testing import CliRunner

import nnunet_mamba
from nnunet_mamba.cli.convert import app
from nnunet_mamba.data.converters.folder_options import FolderFacts
from nnunet_mamba.data.converters.isic import IsicFacts
from nnunet_mamba.data.converters.lgg import LggFacts
from nnunet_mamba.data.converters.ph2 import Ph2Facts
from nnunet_mamba.data.converters.synapse import SynapseFacts

CHECKOUT = Path(nnunet_mamba.__file__).parent.parent
FOLDER = CHECKOUT / "dataset_conversion"
FACTS = {
    "Dataset101_ISIC": IsicFacts(),
    "Dataset102_PH2": Ph2Facts(),
    "Dataset103_LGG": LggFacts(),
    "Dataset104_Synapse": SynapseFacts(),
    "Dataset105_Folder": FolderFacts(),
}


def draw_ph2(root: Path) -> list[Path]:
    for number in range(2):
        case = root / "PH2 Dataset images" / f"IMD00{number}"
        noise = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        mask = np.zeros((8, 8), bool)
        mask[2:5, 2:5] = True
        for folder, ending, pixels in (("Dermoscopic_Image", "", noise), ("lesion", "_lesion", mask)):
            (case / f"{case.name}_{folder}").mkdir(parents=True)
            Image.fromarray(pixels).save(case / f"{case.name}_{folder}" / f"{case.name}{ending}.bmp")
    return [root]


def draw_raw_data(root: Path) -> list[Path]:
    for number in range(2):
        noise = np.random.default_rng(number).integers(-1000, 1000, (8, 7, 6)).astype(np.int16)
        organs = np.resize(np.arange(14, dtype=np.uint8), (8, 7, 6))
        for name, voxels in (("img", noise), ("label", organs)):
            (root / name).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / name / f"{name}000{number}.nii.gz")
    return [root]


DRAWN = {
    "Dataset101_ISIC": lambda root: draw_photographs(root, 2, shape=(16, 16)),
    "Dataset102_PH2": draw_ph2,
    "Dataset103_LGG": lambda root: draw_scans(root, 2, n_slices=2, shape=(8, 8)),
    "Dataset104_Synapse": draw_raw_data,
    "Dataset105_Folder": lambda root: draw_own_pictures(root, 2),
}


@pytest.fixture
def run_script(tmp_path, monkeypatch, capsys):
    """Run a script in this process, and return what it printed."""

    def run(script: Path, sources: list[Path], output: Path) -> str:
        words = [script.name, *sources, "--output", output, "--no-progress", "--jobs", 1]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(script), run_name="__main__")
        assert end.value.code == 0
        return capsys.readouterr().out

    return run


def test_every_script_is_known_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_it_declares_what_the_command_assumes(name):
    assert runpy.run_path(str(FOLDER / f"{name}.py"))["FACTS"] == FACTS[name]
    assert FACTS[name].name == name


@pytest.mark.parametrize("name", FACTS)
def test_it_is_the_same_command(run_script, tmp_path, name):
    sources = DRAWN[name](tmp_path / "source")
    printed = run_script(FOLDER / f"{name}.py", sources, tmp_path / "raw")
    assert (tmp_path / "raw" / name / "dataset.json").is_file()
    words = [name.partition("_")[2].lower(), *sources, "--output", tmp_path / "other", "--no-progress", "--jobs", 1]
    command = CliRunner().invoke(app, [str(word) for word in words])
    assert printed == command.stdout.replace(str(tmp_path / "other"), str(tmp_path / "raw"))


@pytest.mark.parametrize("name", [name for name in FACTS if name != "Dataset104_Synapse"])
def test_a_changed_copy_converts_as_it_says(run_script, tmp_path, name):
    text = (FOLDER / f"{name}.py").read_text()
    old = FACTS[name].foreground
    copy = tmp_path / "Dataset901_Mine.py"
    copy.write_text(
        text.replace(f'FOREGROUND = "{old}"', 'FOREGROUND = "naevus"').replace(
            f'NAME = "{name}"', 'NAME = "Dataset901_Mine"'
        )
    )
    run_script(copy, DRAWN[name](tmp_path / "source"), tmp_path / "raw")
    assert json.loads((tmp_path / "raw" / name / "dataset.json").read_text())["labels"] == {
        "background": 0,
        "naevus": 1,
    }
    record = json.loads((tmp_path / "raw" / name / "nnunet_mamba_conversion.json").read_text())
    assert record["converter"] == "Dataset901_Mine"
    assert "naevus" in record["options"]["source_labels"]


def test_a_changed_copy_may_name_other_organs(run_script, tmp_path):
    text = (FOLDER / "Dataset104_Synapse.py").read_text()
    copy = tmp_path / "Dataset901_Mine.py"
    copy.write_text(text.replace("papers_organs=PAPERS_ORGANS", 'papers_organs=("spleen", "liver")'))
    run_script(copy, draw_raw_data(tmp_path / "source"), tmp_path / "raw")
    content = json.loads((tmp_path / "raw" / "Dataset104_Synapse" / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "spleen": 1, "liver": 2}


def test_a_process_of_its_own_needs_neither_torch_nor_nnunet(tmp_path):
    sources = DRAWN["Dataset105_Folder"](tmp_path / "source")
    code = (
        "import runpy, sys\n"
        "del sys.argv[0]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'nnunetv2'} & set(sys.modules)"
    )
    script = FOLDER / "Dataset105_Folder.py"
    words = [sys.executable, "-c", code, script, *sources, "--output", tmp_path / "raw", "--no-progress"]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").is_file(), reason="needs the checkout")
def test_a_wheel_carries_them(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed").WheelBuilder
    (wheel,) = builder(str(CHECKOUT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    bundled = "nnunet_mamba/_bundled/dataset_conversion"
    carried = {os.path.basename(name) for name in names if os.path.dirname(name) == bundled}
    assert carried == {f"{name}.py" for name in FACTS}
