"""Stock nnU-Net finds the trainers after every way of installing, and nothing stays behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnunet_mamba
from nnunet_mamba import _startup
from nnunet_mamba.bundled import trainers_folder

CHECKOUT = Path(nnunet_mamba.__file__).parents[1]
TRAINER = "nnUNetTrainerUltraLightVM_1epoch_1iteration"
needs_checkout = pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").exists(), reason="needs the source tree")


@pytest.mark.parametrize("before", ["", "/mine", os.pathsep.join(["/mine", "/ours"])])
def test_appends_and_never_replaces(monkeypatch, before):
    monkeypatch.setenv("nnUNet_extTrainer", before)
    monkeypatch.delenv("NNUNET_MAMBA_NO_STARTUP", raising=False)
    for _ in range(2):
        _startup.append_trainers()
        expected = [*filter(None, before.split(os.pathsep)), trainers_folder()]
        assert os.environ["nnUNet_extTrainer"].split(os.pathsep) == expected


def test_trainers_of_another_nnunet_mamba_are_taken_out(monkeypatch, tmp_path):
    (tmp_path / _startup.LOADER_FILE).touch()
    assert Path(trainers_folder(), _startup.LOADER_FILE).is_file()
    monkeypatch.setenv("nnUNet_extTrainer", os.pathsep.join(["/mine", str(tmp_path)]))
    monkeypatch.delenv("NNUNET_MAMBA_NO_STARTUP", raising=False)
    _startup.append_trainers()
    assert os.environ["nnUNet_extTrainer"].split(os.pathsep) == ["/mine", trainers_folder()]


def test_a_damaged_installation_is_no_business_of_every_process(monkeypatch):
    def missing():
        raise FileNotFoundError

    monkeypatch.setattr(_startup, "trainers_folder", missing)
    monkeypatch.setenv("nnUNet_extTrainer", "/mine")
    monkeypatch.delenv("NNUNET_MAMBA_NO_STARTUP", raising=False)
    _startup.append_trainers()
    assert os.environ["nnUNet_extTrainer"] == "/mine"


@needs_checkout
def test_a_checkout_that_is_gone_leaves_other_programs_in_peace(tmp_path):
    line = (CHECKOUT / "packaging" / "nnunet_mamba.pth").read_text()
    assert line.count("\n") == 1
    assert line.startswith("import ")
    (tmp_path / "nnunet_mamba.pth").write_text(line)
    code = f"import site; site.addsitedir({str(tmp_path)!r}); print('hi')"
    # Without the environment's packages nnunet_mamba is not there.
    process = _python(sys.executable, "-I", "-S", "-c", code)
    assert (process.returncode, process.stdout, process.stderr) == (0, "hi\n", "")


def test_the_opt_out_leaves_the_variable_alone(monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer", raising=False)
    monkeypatch.setenv("NNUNET_MAMBA_NO_STARTUP", "1")
    _startup.append_trainers()
    assert "nnUNet_extTrainer" not in os.environ


def test_the_bundled_folder_holds_the_trainers():
    assert (Path(trainers_folder()) / "nnUNetTrainerUltraLightVM.py").is_file()


def test_the_trainers_folder_is_a_leaf_that_holds_trainers_only():
    names = {entry.name for entry in Path(trainers_folder()).iterdir() if entry.name != "__pycache__"}
    others = {name for name in names if not (name.startswith("nnUNetTrainer") and name.endswith(".py"))}
    assert others == {"nnunet_mamba_generated_trainers.py"}


def _python(executable: Path | str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("nnUNet", "NNUNET_MAMBA", "PYTHON"))}
    return subprocess.run(
        [str(executable), *arguments], env={**kept, **variables}, capture_output=True, text=True, check=False, cwd="/"
    )


def test_the_start_of_an_interpreter_imports_nothing_heavy():
    process = _python(sys.executable, "-c", "import sys; print(*sorted(sys.modules))")
    assert process.returncode == 0, process.stderr
    loaded = {name.split(".")[0] for name in process.stdout.split()}
    assert "nnunet_mamba" in loaded, "the start-up file did not run: install the project, see the README"
    assert not loaded & {"torch", "numpy", "nnunetv2", "numba", "typer", "pathlib", "typing", "re"}


class Installation:
    """A virtual environment that has our dependencies from this one and the package by its own installation."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.site = Path(_python(self.python, "-c", purelib).stdout.strip())
        # A plain path line: start-up files inside that folder are not read, so this environment's own decide.
        (self.site / "_dependencies.pth").write_text(_python(sys.executable, "-c", purelib).stdout)

    def pip(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout + process.stderr

    def search_path(self, **variables: str) -> list[str]:
        code = "import os; print(os.environ.get('nnUNet_extTrainer', ''))"
        process = _python(self.python, "-c", code, **variables)
        assert (process.returncode, process.stderr) == (0, "")
        return [part for part in process.stdout.strip().split(os.pathsep) if part]


KINDS = {"wheel": [str(CHECKOUT)], "editable": ["--editable", str(CHECKOUT)]}


def install(kind: str, folder: Path) -> Installation:
    installation = Installation(folder / "venv")
    installation.pip("install", "--quiet", "--no-deps", "--no-build-isolation", *KINDS[kind])
    return installation


@pytest.fixture(scope="module", params=KINDS)
def installed(request, tmp_path_factory) -> Installation:
    """An installation that tests only use."""
    return install(request.param, tmp_path_factory.mktemp(request.param))


# An editable installation has the same start-up file; the next test finds the trainer through it.
@pytest.mark.slow
@needs_checkout
@pytest.mark.parametrize("installed", ["wheel"], indirect=True)
def test_stock_training_finds_the_trainer_after_installing(installed, planned, tmp_path):
    assert len(installed.search_path()) == 1

    process = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", TRAINER, python=str(installed.python))
    assert process.returncode == 0, process.stdout + process.stderr
    assert (planned.results / planned.dataset / f"{TRAINER}__nnUNetPlans__2d/fold_0/checkpoint_final.pth").exists()

    refused = planned.run(
        "nnUNetv2_train", "901", "2d", "0", "-tr", TRAINER, python=str(installed.python), NNUNET_MAMBA_NO_STARTUP="1"
    )
    assert refused.returncode != 0
    assert "Could not find requested nnunet trainer" in refused.stderr

    by_hand = planned.run(
        *("nnUNetv2_train", "901", "2d", "0", "-tr", TRAINER, "--val"),
        python=str(installed.python),
        NNUNET_MAMBA_NO_STARTUP="1",
        nnUNet_extTrainer=_python(installed.python.parent / "nnunet-mamba", "trainers-path").stdout.strip(),
    )
    assert by_hand.returncode == 0, by_hand.stdout + by_hand.stderr


@pytest.mark.slow
@needs_checkout
def test_a_users_own_trainer_folder_stays_and_comes_first(installed, planned, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "nnUNetTrainerMine.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class nnUNetTrainerMine(nnUNetTrainer):\n"
        "    pass\n"
    )
    assert installed.search_path(nnUNet_extTrainer=str(own)) == [str(own), *installed.search_path()]
    code = (
        "import sys\n"
        "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find\n"
        "print('found', *(find(name).__name__ for name in sys.argv[1:]))"
    )
    process = _python(installed.python, "-c", code, "nnUNetTrainerMine", TRAINER, nnUNet_extTrainer=str(own))
    assert process.returncode == 0, process.stderr
    assert f"found nnUNetTrainerMine {TRAINER}" in process.stdout


@pytest.mark.slow
@needs_checkout
@pytest.mark.parametrize("kind", KINDS)
def test_uninstalling_leaves_nothing(kind, tmp_path):
    installed = install(kind, tmp_path)
    installed.pip("uninstall", "--yes", "--quiet", "nnunet-mamba")
    assert installed.search_path() == []
    assert [path.name for path in installed.site.rglob("*") if "mamba" in path.name.lower()] == []
    assert "mamba" not in " ".join(path.name for path in installed.python.parent.iterdir())
