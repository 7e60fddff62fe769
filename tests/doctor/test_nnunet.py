import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nnunet_mamba._startup import OPT_OUT, SEARCH_PATH
from nnunet_mamba.bundled import trainers_folder
from nnunet_mamba.doctor import nnunet

VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
GIB = 2**30


@pytest.fixture
def folders(monkeypatch, tmp_path):
    for variable in VARIABLES:
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr(nnunet.shutil, "disk_usage", lambda path: SimpleNamespace(free=100 * GIB))
    return tmp_path


def found(findings):
    return {finding.name: finding for finding in findings}


def test_three_folders_on_one_disk_are_fine(folders):
    result = found(nnunet.folders())
    assert {finding.level for finding in result.values()} == {"ok"}
    assert result["nnUNet_raw"].text == str(folders / "nnUNet_raw")
    assert result["disk"].text.startswith("100 GiB free")


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_folder_that_is_not_set_or_not_there_is_a_problem(folders, monkeypatch, variable):
    (folders / variable).rmdir()
    finding = found(nnunet.folders())[variable]
    assert (finding.level, finding.remedy) == ("problem", f"mkdir -p {folders / variable}")
    assert "does not exist" in finding.text
    (folders / variable).touch()
    assert "is not a folder" in found(nnunet.folders())[variable].text
    monkeypatch.delenv(variable)
    finding = found(nnunet.folders())[variable]
    assert (finding.level, finding.text) == ("problem", "is not set")
    assert finding.remedy == f"export {variable}=/path/to/{variable}"


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("~/nn/pre", '"$HOME/nn/pre"'),
        ("$HOME/nn", '"$HOME/nn"'),
        ("'/nn'", '"/nn"'),
        ("/nn ", '"/nn"'),
        ("nn/raw", '"$PWD/nn/raw"'),
    ],
)
def test_a_path_that_no_shell_expanded_is_a_problem_without_advice_to_make_it(
    folders, monkeypatch, variable, value, remedy
):
    monkeypatch.chdir(folders)
    (folders / "nn/raw").mkdir(parents=True)
    monkeypatch.setenv(variable, value)
    finding = found(nnunet.folders())[variable]
    assert (finding.level, finding.remedy) == ("problem", f"export {variable}={remedy}")
    assert repr(value) in finding.text


def test_an_empty_variable_is_a_problem(folders, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", "")
    finding = found(nnunet.folders())["nnUNet_raw"]
    assert (finding.level, finding.text) == ("problem", "is empty")


@pytest.mark.parametrize("variable", VARIABLES)
def test_reading_is_enough_for_raw_data_alone(folders, monkeypatch, variable):
    opened = nnunet.tempfile.TemporaryFile

    def refuse(dir):
        if dir == folders / variable:
            raise PermissionError(dir)
        return opened(dir=dir)

    monkeypatch.setattr(nnunet.tempfile, "TemporaryFile", refuse)
    levels = {name: finding.level for name, finding in found(nnunet.folders()).items()}
    assert levels[variable] == ("ok" if variable == "nnUNet_raw" else "problem")
    assert set(levels.values()) <= {"ok", levels[variable]}


@pytest.mark.parametrize(("free", "level"), [(100 * GIB, "ok"), (2 * GIB, "hint"), (GIB // 4, "problem")])
def test_little_room_on_the_disk(folders, monkeypatch, free, level):
    monkeypatch.setattr(nnunet.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    finding = found(nnunet.folders())["disk"]
    assert finding.level == level
    assert bool(finding.remedy) == (level != "ok")


def test_commands_of_another_python_are_a_problem(monkeypatch, tmp_path):
    own = Path(nnunet.sysconfig.get_path("scripts"))
    monkeypatch.setenv("PATH", str(own))
    assert nnunet.commands().level == "ok"
    other = tmp_path / "nnUNetv2_train"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), str(own)]))
    finding = nnunet.commands()
    assert finding.level == "problem"
    assert str(other) in finding.text
    assert str(own) in finding.remedy
    monkeypatch.setenv("PATH", "")
    assert nnunet.commands().level == "hint"


@pytest.mark.parametrize("kind", ["link", "user"])
def test_commands_by_a_link_or_of_the_user_are_this_pythons(monkeypatch, tmp_path, kind):
    own = tmp_path / "venv" / "bin"
    of_user = tmp_path / "home" / "bin"
    for folder in (own, of_user):
        folder.mkdir(parents=True)
    places = {"venv": str(own), "user": str(of_user)}
    monkeypatch.setattr(nnunet.sysconfig, "get_path", lambda name, scheme="venv": places[scheme])
    monkeypatch.setattr(nnunet.sysconfig, "get_preferred_scheme", lambda key: key)
    (own / "nnUNetv2_train").write_text("#!/bin/sh\n")
    (own / "nnUNetv2_train").chmod(0o755)
    if kind == "link":
        (tmp_path / "nnUNetv2_train").symlink_to(own / "nnUNetv2_train")
    else:
        shutil.move(own / "nnUNetv2_train", of_user)
    monkeypatch.setenv("PATH", str(tmp_path if kind == "link" else of_user))
    assert nnunet.commands().level == "ok"


@pytest.fixture
def resolved(monkeypatch):
    """Findings when a fresh process answers as told; the last item is the environment that it got."""

    def find(search_path=None, missing=(), returncode=0, stderr=""):
        seen = {}

        def run(command, env, **options):
            seen.update(env)
            listed = env.get(SEARCH_PATH, "") if search_path is None else search_path
            answer = {"search_path": listed, "missing": dict.fromkeys(missing, "Could not find it\nin all of this")}
            return SimpleNamespace(returncode=returncode, stdout=f"noise\n{json.dumps(answer)}\n", stderr=stderr)

        monkeypatch.setattr(nnunet.subprocess, "run", run)
        return found(nnunet.trainers()), seen

    monkeypatch.delenv(OPT_OUT, raising=False)
    monkeypatch.setenv(SEARCH_PATH, os.pathsep.join(["/mine", trainers_folder()]))
    return find


def test_folders_of_trainers_that_nnunet_passes_over_are_told(resolved, monkeypatch, tmp_path):
    monkeypatch.setenv(SEARCH_PATH, os.pathsep.join(["~/mine", str(tmp_path), "/nowhere", trainers_folder()]))
    resolved()
    findings = [finding for finding in nnunet.trainers() if finding.name == SEARCH_PATH]
    assert [finding.level for finding in findings] == ["hint", "hint"]
    assert "'~/mine': '~' stands" in findings[0].text
    assert "'/nowhere': there is no such folder" in findings[1].text


def test_the_start_up_file_must_list_the_trainers_by_itself(resolved):
    result, environment = resolved(search_path=os.pathsep.join(["/mine", trainers_folder()]))
    assert environment[SEARCH_PATH] == "/mine"
    assert result["start-up file"].level == "ok"
    assert result["trainers"].level == "ok"
    result, _ = resolved()
    assert result["start-up file"].level == "problem"
    assert "$(nnunet-mamba trainers-path)" in result["start-up file"].remedy


def test_a_refused_start_up_file_is_fine_where_the_folder_is_listed_by_hand(resolved, monkeypatch):
    monkeypatch.setenv(OPT_OUT, "1")
    result, environment = resolved()
    assert trainers_folder() in environment[SEARCH_PATH]
    assert result["start-up file"].level == "ok"
    monkeypatch.setenv(SEARCH_PATH, "/mine")
    result, _ = resolved()
    assert result["start-up file"].level == "problem"
    assert f"unset {OPT_OUT}" in result["start-up file"].remedy


def test_trainers_that_nnunet_does_not_find_are_a_problem(resolved):
    result, _ = resolved(missing=["nnUNetTrainerA", "nnUNetTrainerB"])
    assert result["trainers"].level == "problem"
    assert result["trainers"].text == "nnU-Net does not find nnUNetTrainerA, nnUNetTrainerB: Could not find it"


def test_an_nnunet_that_cannot_be_imported_is_a_problem(resolved):
    result, _ = resolved(returncode=1, stderr="Traceback\nModuleNotFoundError: No module named 'nnunetv2'\n")
    assert list(result) == ["trainers"]
    assert result["trainers"].level == "problem"
    assert "No module named 'nnunetv2'" in result["trainers"].text
    assert "Traceback" not in result["trainers"].text


def test_a_users_own_trainer_that_cannot_be_imported_is_named(resolved):
    stderr = 'Traceback\n  File "/x/find.py", line 1\n  File "/mine/my.py", line 2\nModuleNotFoundError: monai\n'
    result, _ = resolved(returncode=1, stderr=stderr)
    assert result["trainers"].remedy == "put /mine/my.py right, or take its folder out of nnUNet_extTrainer"
    result, _ = resolved(returncode=1, stderr=stderr.replace("/mine/my.py", "/mine/deeper/my.py"))
    assert "--no-deps nnunetv2" in result["trainers"].remedy


def test_tells_which_commands_run_what_is_in_a_checkpoint():
    finding = nnunet.checkpoints()
    assert (finding.level, finding.name) == ("ok", "checkpoints")
    assert "nnUNetv2_predict" in finding.text
    assert "-pretrained_weights" in finding.text


def test_a_damaged_installation_is_a_problem(monkeypatch):
    def missing():
        raise FileNotFoundError("nnunet-mamba is incomplete")

    monkeypatch.setattr(nnunet, "trainers_folder", missing)
    (finding,) = nnunet.trainers()
    assert (finding.level, finding.text) == ("problem", "nnunet-mamba is incomplete")


def test_the_question_to_nnunet_is_one_that_it_answers(monkeypatch, capsys):
    # In this process, because a new one imports nnU-Net again.
    monkeypatch.setattr(sys, "argv", ["-c", "nnUNetTrainer", "nnUNetTrainerOfNobody"])
    exec(nnunet._FIND_TRAINERS, {})
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(answer["missing"]) == ["nnUNetTrainerOfNobody"]
